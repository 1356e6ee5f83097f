// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { BackendInfo, ForwardBackend } from "../backend/forward-backend.js";
import { f32KvBlockBytes, KV_BLOCK_SIZE } from "../backend/kv-block.js";
import { Adapters } from "../lora/adapters.js";
import { readPeftAdapter } from "../lora/read-peft-adapter.js";
import { loadModelWeights } from "../model/load-model-weights.js";
import type { ModelSpec, ModelWeights } from "../model/model-spec.js";
import { poolingMode } from "../model/pooling-mode.js";
import type { Quantization } from "../model/quantize-weights.js";
import type { Drafter } from "../speculation/drafter.js";
import { openDraftModel } from "../speculation/open-draft-model.js";
import { PromptLookup } from "../speculation/prompt-lookup.js";
import { resolveSpeculation, type SpeculationLimits } from "../speculation/resolve-speculation.js";
import type { OpenEngine } from "./core-options.js";
import { openGrammars } from "./open-grammars.js";
import { type EmbeddedEngineOptions, type EngineLimits, resolveLimits } from "./options.js";

/** Reads the checkpoint, settles the limits and loads the backend that was asked for: one of each for every rank. */
export async function openModel(options: EmbeddedEngineOptions): Promise<readonly OpenEngine[]> {
	const weights = await loadModelWeights(options.modelPath, { quantization: options.quantization });
	const { spec } = weights;
	const pooling = options.embeddingPooling ?? (await poolingMode(options.modelPath));
	const limits = resolveLimits(options, spec, KV_BLOCK_SIZE, await kvBlockBytes(options, weights));
	const guessing = resolveSpeculation(options, limits.maxNumSeqs);
	const [backends, grammars] = await Promise.all([
		openBackends(options, weights, limits, guessing?.maxRows ?? 0),
		openGrammars(options),
	]);
	try {
		const drafters = guessing ? await openDrafters(guessing, options, weights, backends, limits) : [];
		const adapters = openAdapters(backends[0]!, spec);
		return backends.map((backend, rank) => {
			const speculation = guessing && { ...guessing, drafter: drafters[rank]! };
			const description = describe(backend.info, options.quantization, backends.length);
			return {
				spec,
				limits,
				kvBlockSize: KV_BLOCK_SIZE,
				backend,
				grammars,
				adapters,
				speculation,
				description,
				pooling,
			};
		});
	} catch (error) {
		await Promise.all(backends.map((backend) => backend.close()));
		throw error;
	}
}

/** One for each rank; the ranks of a draft model share its weights too. */
async function openDrafters(
	{ draftModelPath }: SpeculationLimits,
	options: EmbeddedEngineOptions,
	{ spec }: ModelWeights,
	backends: readonly ForwardBackend[],
	limits: EngineLimits,
): Promise<readonly Drafter[]> {
	if (draftModelPath === null) return backends.map(() => new PromptLookup());
	const model = { path: options.modelPath, vocabSize: spec.vocabSize, limits };
	let opening: Promise<readonly ForwardBackend[]> | null = null;
	const open = async (weights: ModelWeights, rank: number) => {
		opening ??= openBackends(options, weights, limits, 0);
		return (await opening)[rank]!;
	};
	return Promise.all(
		backends.map((_, rank) => openDraftModel(draftModelPath, model, (weights) => open(weights, rank))),
	);
}

/** Backends over one copy of the weights have their adapters in common. */
function openAdapters(backend: ForwardBackend, spec: ModelSpec): Adapters | null {
	if (!backend.loadAdapter) return null;
	return new Adapters({
		read: (path) => readPeftAdapter(path, spec),
		load: (id, parts) => backend.loadAdapter!(id, parts),
		unload: (id) => backend.unloadAdapter!(id),
	});
}

function describe(
	{ isa, threads }: BackendInfo,
	quantization: Quantization | undefined,
	ranks: number,
): string {
	const each = `${threads} thread${threads === 1 ? "" : "s"}`;
	const weights = quantization === undefined ? "" : ` ${quantization} weights,`;
	return `embedded,${weights} ${isa}, ${ranks === 1 ? each : `${ranks} ranks of ${each}`}`;
}

async function openBackends(
	options: EmbeddedEngineOptions,
	weights: ModelWeights,
	limits: EngineLimits,
	maxDrafts: number,
): Promise<readonly ForwardBackend[]> {
	const ranks = options.dpSize ?? 1;
	return isReference(options)
		? openReference(weights, { ...backendLimits(limits), maxDrafts }, ranks)
		: openNative(options, weights, { ...backendLimits(limits), maxDrafts }, limits.threads, ranks);
}

function isReference({ backend = "native" }: EmbeddedEngineOptions): boolean {
	if (backend !== "native" && backend !== "reference")
		throw invalidArgument(
			"backend",
			`backend must be "native" or "reference", got ${JSON.stringify(backend)}`,
		);
	return backend === "reference";
}

/** Of one block, all layers, in the backend that was asked for. */
async function kvBlockBytes(options: EmbeddedEngineOptions, weights: ModelWeights): Promise<number> {
	if (isReference(options)) return f32KvBlockBytes(weights.spec);
	const { nativeKvBlockBytes } = await import("../native/native-backend.js");
	// Looks for the binary first, and so is what logs where it looked.
	const { logger } = options;
	return nativeKvBlockBytes({ ...nativeModel(options, weights), ...(logger ? { logger } : {}) });
}

async function openReference(
	weights: ModelWeights,
	limits: BackendLimits,
	ranks: number,
): Promise<readonly ForwardBackend[]> {
	const { createReferenceBackends } = await import("../backend/reference/reference-backend.js");
	return createReferenceBackends({ weights, ...limits }, ranks);
}

async function openNative(
	options: EmbeddedEngineOptions,
	weights: ModelWeights,
	limits: BackendLimits,
	threads: number,
	ranks: number,
): Promise<readonly ForwardBackend[]> {
	const { createNativeBackends } = await import("../native/native-backend.js");
	return createNativeBackends({ ...nativeModel(options, weights), ...limits, threads }, ranks);
}

function nativeModel({ isa, precision, nativePath }: EmbeddedEngineOptions, weights: ModelWeights) {
	return { weights, isa, precision, nativePath };
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
