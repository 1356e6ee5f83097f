// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, invalidArgument } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { tensorByteLength } from "@dyn/models";
import { createGenerateRequest, type EngineOutput, type GenerateRequestInit } from "@dyn/protocols";
import { createEmbeddedEngine } from "../engine/embedded-engine.js";
import type { EmbeddedEngineOptions } from "../engine/options.js";
import { loadModelWeights } from "../model/load-model-weights.js";
import type { ModelWeights } from "../model/model-spec.js";
import type { Quantization } from "../model/quantize-weights.js";

export interface CheckQuantizationOptions
	extends Pick<EmbeddedEngineOptions, "modelPath" | "threads" | "isa" | "backend" | "nativePath" | "logger"> {
	/** The text to predict, at least 2 tokens. Longer than 512 tokens, it is read in pieces of 512. */
	readonly tokenIds: readonly number[] | Uint32Array;
	/** What to compare with the checkpoint as it is stored. Default: both. */
	readonly quantizations?: readonly Quantization[] | undefined;
	readonly onProgress?: ((progress: CheckProgress) => void) | undefined;
}

export interface CheckProgress {
	/** null: as stored. */
	readonly quantization: Quantization | null;
	/** Of the text. */
	readonly scoredTokens: number;
	readonly totalTokens: number;
}

/** What one form of the weights is like. */
export interface QuantizationMeasure {
	/** null: as stored. */
	readonly quantization: Quantization | null;
	/** Of all tensors. */
	readonly weightBytes: number;
	readonly perplexity: number;
	/** How much higher the perplexity is than that of the checkpoint as stored: 0.01 is one percent. */
	readonly cost: number;
	/** Standard error of `cost`, from the differences token by token: a short text tells little. */
	readonly costError: number;
	/** Of one sequence of 64 tokens, without guesses. */
	readonly decodeTokensPerSecond: number;
	readonly loadMs: number;
}

const WINDOW = 512;
const DECODED = { prompt: 16, tokens: 48 };

/**
 * Loads a checkpoint as it is and quantised, one after the other, and measures how well each predicts a text.
 * @throws DynError INVALID_ARGUMENT for a text of less than 2 tokens, and for a checkpoint that cannot be quantised, before
 * anything is loaded; what loading and running a model throws
 */
export async function checkQuantization(
	options: CheckQuantizationOptions,
): Promise<readonly QuantizationMeasure[]> {
	const { modelPath, tokenIds, quantizations = ["int8", "int4"], onProgress, ...common } = options;
	if (tokenIds.length < 2)
		throw invalidArgument(
			"text",
			`a text of ${tokenIds.length} tokens has nothing to predict; give a longer one`,
		);
	const forms = await Promise.all(
		[null, ...quantizations].map(async (quantization) => ({
			quantization,
			weights: await loadModelWeights(modelPath, { quantization: quantization ?? undefined }),
		})),
	);
	const maxSeqLen = Math.min(WINDOW + 1, forms[0]!.weights.spec.contextLength); // one is left to be generated
	const measures: QuantizationMeasure[] = [];
	let asStored: readonly number[] | null = null;
	for (const { quantization, weights } of forms) {
		const progress = (scoredTokens: number) =>
			onProgress?.({ quantization, scoredTokens, totalTokens: tokenIds.length });
		progress(0);
		const began = performance.now();
		const engine = createEmbeddedEngine({
			...common,
			modelPath,
			quantization: quantization ?? undefined,
			speculativeMode: "off",
			maxNumSeqs: 1,
			maxSeqLen,
		});
		try {
			await engine.start();
			const loadMs = performance.now() - began;
			const losses = await tokenLosses(engine, tokenIds, maxSeqLen, progress);
			asStored ??= losses;
			measures.push({
				quantization,
				weightBytes: bytesOf(weights),
				perplexity: Math.exp(mean(losses)),
				...costOf(losses, asStored),
				decodeTokensPerSecond: await decodeSpeed(engine, tokenIds, maxSeqLen),
				loadMs,
			});
		} finally {
			await engine.close();
		}
	}
	return measures;
}

/** What each token that follows another one of its piece costs, -ln p. */
async function tokenLosses(
	engine: Engine,
	tokenIds: readonly number[] | Uint32Array,
	maxSeqLen: number,
	progress: (scored: number) => void,
): Promise<number[]> {
	const losses: number[] = [];
	const length = maxSeqLen - 1;
	for (let at = 0; at + 1 < tokenIds.length; at += length) {
		const piece = tokenIds.slice(at, at + length);
		if (piece.length < 2) break;
		for await (const { promptLogprobs = [] } of outputs(engine, {
			tokenIds: piece,
			stop: { maxTokens: 1 },
			output: { promptLogprobs: 0 },
		}))
			for (const entry of promptLogprobs) if (entry) losses.push(-entry.logprob);
		progress(at + piece.length);
	}
	if (!losses.every(Number.isFinite))
		throw new DynError(
			"MODEL_FORMAT",
			"the model answers with what are no probabilities: its weights are damaged",
		);
	return losses;
}

async function decodeSpeed(
	engine: Engine,
	tokenIds: readonly number[] | Uint32Array,
	maxSeqLen: number,
): Promise<number> {
	const prompt = tokenIds.slice(0, Math.min(DECODED.prompt, maxSeqLen / 2));
	const maxTokens = Math.min(DECODED.tokens, maxSeqLen - prompt.length);
	let decoded = 0;
	let began: number | null = null;
	for await (const { tokenIds: tokens } of outputs(engine, {
		tokenIds: prompt,
		stop: { maxTokens, ignoreEos: true },
	})) {
		if (began !== null) decoded += tokens.length;
		began ??= performance.now();
	}
	return decoded / ((performance.now() - began!) / 1000);
}

function outputs(engine: Engine, init: GenerateRequestInit): AsyncIterable<EngineOutput> {
	return engine.generate(
		createGenerateRequest({ sampling: { temperature: 0 }, ...init }),
		createRequestContext(),
	);
}

function costOf(
	losses: readonly number[],
	asStored: readonly number[],
): Pick<QuantizationMeasure, "cost" | "costError"> {
	const differences = losses.map((loss, i) => loss - asStored[i]!);
	const difference = mean(differences);
	const variance = mean(differences.map((each) => (each - difference) ** 2));
	const ratio = Math.exp(difference);
	return { cost: ratio - 1, costError: ratio * Math.sqrt(variance / differences.length) };
}

function mean(values: readonly number[]): number {
	return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function bytesOf({ tensors }: ModelWeights): number {
	return tensors.reduce(
		(sum, { quantizeTo, byteLength, rows, cols }) =>
			sum + (quantizeTo ? tensorByteLength(quantizeTo, rows * cols)! : byteLength),
		0,
	);
}
