// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES, type ErrorCode, type Logger } from "@dyn/common";
import type {
	BackendInfo,
	ForwardBackend,
	RowToSample,
	SampledRow,
	SampledToken,
	SamplerParams,
	StepResult,
	StepSequence,
} from "../backend/forward-backend.js";
import { type AdapterPart, PROJECTIONS } from "../lora/adapter-weights.js";
import type { ModelWeights } from "../model/model-spec.js";
import { ropeFrequencies } from "../model/rope-frequencies.js";
import { loadNativeBinding } from "./loader.js";
import {
	type NativeEngine,
	type NativeEngineModel,
	type NativeInfo,
	type NativeSamples,
	NO_TOKEN,
	UNUSABLE,
} from "./native-binding.js";

/** The model and how it is computed. */
export interface NativeModelOptions {
	readonly weights: ModelWeights;
	/** "amx", "avx512", "avx2" or "portable"; null: the best that the CPU has. */
	readonly isa?: string | null | undefined;
	/** "auto": as the checkpoint is. "f32": the reference mode. */
	readonly precision?: "auto" | "f32" | undefined;
	readonly nativePath?: string | undefined;
	readonly logger?: Logger;
}

export interface NativeBackendOptions extends NativeModelOptions {
	readonly numKvBlocks: number;
	readonly maxSequences: number;
	/** Most rows of one step. */
	readonly maxBatchedTokens: number;
	/** Most guesses of one step; each has a row of logits. Default 0. */
	readonly maxDrafts?: number | undefined;
	/** Threads of a step, the engine thread included. */
	readonly threads: number;
}

/** Numbers that describe a sequence to the addon. */
const HEADER_FIELDS = 9;
const OUTPUT = { none: 0, sample: 1, logits: 2, hidden: 3 } as const;

/**
 * Bytes of one KV block, all layers, as a backend with these options keeps keys and values: fewer with quantised weights.
 * @throws DynError NATIVE_UNAVAILABLE, MODEL_FORMAT or INVALID_ARGUMENT.
 */
export function nativeKvBlockBytes(options: NativeModelOptions): number {
	const binding = loadNativeBinding(options);
	return translatedSync(() => binding.kvBlockBytes(nativeModel(options)));
}

function nativeModel({ weights: { spec, tensors }, precision, isa }: NativeModelOptions): NativeEngineModel {
	return {
		spec,
		inverseFrequencies: ropeFrequencies(spec),
		tensors,
		f32: precision === "f32",
		isa: isa ?? null,
	};
}

/**
 * The C++ backend. Weights are loaded on its own thread, off the event loop.
 * @throws DynError NATIVE_UNAVAILABLE, MODEL_FORMAT, OUT_OF_MEMORY or INVALID_ARGUMENT.
 */
export async function createNativeBackend(options: NativeBackendOptions): Promise<ForwardBackend> {
	const [backend] = await createNativeBackends(options, 1);
	return backend!;
}

/**
 * `count` C++ backends over one copy of the weights: each has KV blocks, slots and threads of its own, and they run side by
 * side. Closing one leaves the others as they are; the weights go with the last.
 * @throws as `createNativeBackend`
 */
export async function createNativeBackends(
	options: NativeBackendOptions,
	count: number,
): Promise<readonly ForwardBackend[]> {
	const { spec } = options.weights;
	const binding = loadNativeBinding(options);
	const native = {
		...nativeModel(options),
		numKvBlocks: options.numKvBlocks,
		maxSequences: options.maxSequences,
		maxBatchedTokens: options.maxBatchedTokens,
		maxDrafts: options.maxDrafts ?? 0,
		threads: options.threads,
	};
	const engines: NativeEngine[] = [];
	const backends: ForwardBackend[] = [];
	try {
		while (backends.length < count) {
			const engine = await translated(() => engines[0]?.share(native) ?? new binding.NativeEngine(native));
			engines.push(engine);
			backends.push(new NativeBackend(engine, await translated(() => engine.load()), spec.vocabSize));
		}
		return backends;
	} catch (error) {
		for (const engine of engines) engine.close(); // their threads and what was loaded so far
		throw error;
	}
}

class NativeBackend implements ForwardBackend {
	readonly info: BackendInfo;
	readonly #engine: NativeEngine;
	readonly #vocabSize: number;
	readonly #stride: number;
	readonly #logits: Float32Array;
	#running: Promise<unknown> | null = null;
	#closing: Promise<void> | null = null;

	constructor(engine: NativeEngine, info: NativeInfo, vocabSize: number) {
		this.#engine = engine;
		this.#vocabSize = vocabSize;
		this.#stride = info.logitsStride;
		this.#logits = new Float32Array(info.logits);
		this.info = {
			isa: info.isa,
			threads: info.threads,
			weightBytes: info.weightBytes,
			kvBlockBytes: info.kvBlockBytes,
			kvLayout: `native-${info.isa}-3`, // counts what bytes of the same number have meant
			scoresPrompts: true,
		};
	}

	async step(sequences: readonly StepSequence[], passes = 1, withinMs = Infinity): Promise<StepResult> {
		const header = new Uint32Array(sequences.length * HEADER_FIELDS);
		let tokenCount = 0;
		let blockCount = 0;
		for (const { tokens, blocks } of sequences) {
			tokenCount += tokens.length;
			blockCount += blocks.length;
		}
		const tokens = new Uint32Array(tokenCount);
		const blocks = new Uint32Array(blockCount);
		let token = 0;
		let block = 0;
		for (const [index, sequence] of sequences.entries()) {
			header.set(
				[
					sequence.slot,
					sequence.position,
					sequence.tokens.length,
					sequence.blocks.length,
					OUTPUT[sequence.output],
					sequence.drafts ?? 0,
					sequence.scored?.targets.length ?? 0,
					sequence.scored?.top ?? 0,
					sequence.adapter ?? 0,
				],
				index * HEADER_FIELDS,
			);
			tokens.set(sequence.tokens, token);
			blocks.set(sequence.blocks, block);
			token += sequence.tokens.length;
			block += sequence.blocks.length;
		}
		const targets = Uint32Array.from(sequences.flatMap(({ scored }) => (scored ? [...scored.targets] : [])));
		// Throws at once what the engine refuses, so `#running` is always the step that it really runs.
		const running = translatedSync(() =>
			this.#engine.step(header, tokens, blocks, targets, passes, withinMs),
		);
		this.#running = running;
		const samples = await translated(() => running);
		const { cancelled, elapsedMs, scores } = samples;
		return {
			cancelled,
			elapsedMs,
			sampled: sampledTokens(samples),
			scores: scores && !cancelled ? sampledTokens(scores) : [],
		};
	}

	cancelStep(): void {
		this.#engine.cancelStep();
	}

	yieldStep(): void {
		this.#engine.yieldStep();
	}

	openSlot(slot: number, params: SamplerParams, context: Uint32Array, generated: number): void {
		translatedSync(() => this.#engine.openSlot(slot, params, context, generated));
	}

	closeSlot(slot: number): void {
		translatedSync(() => this.#engine.closeSlot(slot));
	}

	logits(slot: number): Float32Array {
		const row = translatedSync(() => this.#engine.logitsRow(slot));
		return this.#logits.subarray(row * this.#stride, row * this.#stride + this.#vocabSize);
	}

	sampleRows(rows: readonly RowToSample[]): SampledRow[] {
		const slots = Uint32Array.from(rows, ({ slot }) => slot);
		const masks = rows.map(({ mask }) => mask);
		const edited = Uint32Array.from(rows, (row) => Number(row.edited ?? false));
		const sampled = sampledTokens(translatedSync(() => this.#engine.sampleRows(slots, masks, edited)));
		return sampled.map((token) => {
			if (token.tokenId === UNUSABLE) return "unusable";
			return token.tokenId === NO_TOKEN ? null : token;
		});
	}

	loadAdapter(id: number, parts: readonly AdapterPart[]): void {
		const native = parts.map((part) => ({ ...part, projection: PROJECTIONS.indexOf(part.projection) }));
		translatedSync(() => this.#engine.loadAdapter(id, native));
	}

	unloadAdapter(id: number): void {
		translatedSync(() => this.#engine.unloadAdapter(id));
	}

	hidden(slot: number): Float32Array {
		return translatedSync(() => this.#engine.hidden(slot));
	}

	readBlock(block: number): Uint8Array {
		return translatedSync(() => this.#engine.readBlock(block));
	}

	writeBlock(block: number, data: Uint8Array): void {
		translatedSync(() => this.#engine.writeBlock(block, data));
	}

	close(): Promise<void> {
		this.#closing ??= this.#stop();
		return this.#closing;
	}

	async #stop(): Promise<void> {
		this.#engine.cancelStep();
		await this.#running?.catch(() => {});
		this.#engine.close();
	}
}

function sampledTokens(samples: NativeSamples): SampledToken[] {
	let at = 0;
	return Array.from(samples.slots, (slot, index) => {
		const count = samples.topCounts[index]!;
		const token = {
			slot,
			tokenId: samples.tokenIds[index]!,
			logprob: samples.logprobs[index]!,
			topIds: samples.topIds.subarray(at, at + count),
			topLogprobs: samples.topLogprobs.subarray(at, at + count),
		};
		at += count;
		return token;
	});
}

/** Native errors carry a registry code; everything that crosses the boundary becomes a DynError here and nowhere else. */
function toDynError(error: unknown): DynError {
	if (DynError.is(error)) return error;
	const { code, message } = error as { code?: string; message?: string };
	if (code !== undefined && code in ERROR_CODES)
		return new DynError(code as ErrorCode, message ?? "", { cause: error });
	return DynError.from(error);
}

async function translated<T>(call: () => T | Promise<T>): Promise<T> {
	try {
		return await call();
	} catch (error) {
		throw toDynError(error);
	}
}

function translatedSync<T>(call: () => T): T {
	try {
		return call();
	} catch (error) {
		throw toDynError(error);
	}
}
