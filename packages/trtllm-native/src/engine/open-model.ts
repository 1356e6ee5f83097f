// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { ForwardBackend } from "../backend/forward-backend.js";
import { KV_BLOCK_SIZE, kvBlockBytes } from "../backend/kv-block.js";
import { loadModelWeights } from "../model/load-model-weights.js";
import type { ModelWeights } from "../model/model-spec.js";
import { poolingMode } from "../model/pooling-mode.js";
import type { Drafter } from "../speculation/drafter.js";
import { openDraftModel } from "../speculation/open-draft-model.js";
import { PromptLookup } from "../speculation/prompt-lookup.js";
import { resolveSpeculation, type SpeculationLimits } from "../speculation/resolve-speculation.js";
import type { OpenEngine } from "./core-options.js";
import { openGrammars } from "./open-grammars.js";
import { type EmbeddedEngineOptions, type EngineLimits, resolveLimits } from "./options.js";

/** Reads the checkpoint, settles the limits and loads the backend that was asked for. */
export async function openModel(options: EmbeddedEngineOptions): Promise<OpenEngine> {
	const weights = await loadModelWeights(options.modelPath);
	const { spec } = weights;
	const pooling = options.embeddingPooling ?? (await poolingMode(options.modelPath));
	const bytesPerValue = options.precision === "f32" || options.backend === "reference" ? 4 : 2;
	const limits = resolveLimits(options, spec, KV_BLOCK_SIZE, kvBlockBytes(spec, bytesPerValue));
	const guessing = resolveSpeculation(options, limits.maxNumSeqs);
	const [backend, grammars] = await Promise.all([
		openBackend(options, weights, limits, guessing?.maxRows ?? 0),
		openGrammars(options),
	]);
	const { isa, threads } = backend.info;
	const description = `embedded, ${isa}, ${threads} thread${threads === 1 ? "" : "s"}`;
	const speculation = guessing && {
		...guessing,
		drafter: await openDrafter(guessing, options, weights, backend, limits),
	};
	return { spec, limits, kvBlockSize: KV_BLOCK_SIZE, backend, grammars, speculation, description, pooling };
}

/** Closes the model's backend if there is none. */
async function openDrafter(
	{ draftModelPath }: SpeculationLimits,
	options: EmbeddedEngineOptions,
	{ spec }: ModelWeights,
	backend: ForwardBackend,
	limits: EngineLimits,
): Promise<Drafter> {
	if (draftModelPath === null) return new PromptLookup();
	const { weightBytes } = backend.info;
	const model = { path: options.modelPath, vocabSize: spec.vocabSize, weightBytes, limits };
	try {
		return await openDraftModel(draftModelPath, model, (weights) => openBackend(options, weights, limits, 0));
	} catch (error) {
		await backend.close();
		throw error;
	}
}

async function openBackend(
	options: EmbeddedEngineOptions,
	weights: ModelWeights,
	limits: EngineLimits,
	maxDrafts: number,
): Promise<ForwardBackend> {
	switch (options.backend ?? "native") {
		case "native":
			return openNative(options, weights, { ...backendLimits(limits), maxDrafts }, limits.threads);
		case "reference":
			return openReference(weights, { ...backendLimits(limits), maxDrafts });
		default:
			throw invalidArgument(
				"backend",
				`backend must be "native" or "reference", got ${JSON.stringify(options.backend)}`,
			);
	}
}

async function openReference(weights: ModelWeights, limits: BackendLimits): Promise<ForwardBackend> {
	const { createReferenceBackend } = await import("../backend/reference/reference-backend.js");
	return createReferenceBackend({ weights, ...limits });
}

async function openNative(
	options: EmbeddedEngineOptions,
	weights: ModelWeights,
	limits: BackendLimits,
	threads: number,
): Promise<ForwardBackend> {
	const { createNativeBackend } = await import("../native/native-backend.js");
	return createNativeBackend({
		weights,
		...limits,
		threads,
		isa: options.isa,
		precision: options.precision,
		nativePath: options.nativePath,
		...(options.logger ? { logger: options.logger } : {}),
	});
}

interface BackendLimits {
	readonly numKvBlocks: number;
	readonly maxSequences: number;
	readonly maxBatchedTokens: number;
	readonly maxDrafts: number;
}

function backendLimits({ numKvBlocks, maxNumSeqs, maxNumBatchedTokens }: EngineLimits) {
	return { numKvBlocks, maxSequences: maxNumSeqs, maxBatchedTokens: maxNumBatchedTokens };
}
