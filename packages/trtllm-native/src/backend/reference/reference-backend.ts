// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { logitsProblem } from "@dyn/logits";
import type { AdapterPart } from "../../lora/adapter-weights.js";
import type { ModelSpec, ModelWeights } from "../../model/model-spec.js";
import type {
	BackendInfo,
	ForwardBackend,
	RowToSample,
	SampledRow,
	SampledToken,
	SamplerParams,
	StepResult,
	StepSequence,
} from "../forward-backend.js";
import { KV_BLOCK_SIZE } from "../kv-block.js";
import { checkStep, type StepLimits } from "./check-step.js";
import { finalHidden, forwardToken, headLogits, ReferenceKv } from "./reference-forward.js";
import { loadReferenceModel, type ReferenceModel } from "./reference-model.js";
import { ReferenceSampler, scoreToken } from "./sampler.js";

export interface ReferenceBackendOptions {
	readonly weights: ModelWeights;
	readonly numKvBlocks: number;
	readonly maxSequences: number;
	/** Most rows of one step. */
	readonly maxBatchedTokens: number;
	/** Most guesses of one step. Default 0. */
	readonly maxDrafts?: number | undefined;
}

/**
 * The decoder in plain TypeScript, f32 weights and f64 sums: the oracle of the native backend's tests, and a fallback
 * for tiny models where no compiler is at hand. Slow: about 1 GFLOP/s.
 * @throws DynError MODEL_FORMAT when a tensor cannot be read, OUT_OF_MEMORY when the KV blocks cannot be held.
 */
export async function createReferenceBackend(options: ReferenceBackendOptions): Promise<ForwardBackend> {
	const [backend] = await createReferenceBackends(options, 1);
	return backend!;
}

/** `count` backends over one copy of the weights, each with KV blocks and slots of its own. */
export async function createReferenceBackends(
	options: ReferenceBackendOptions,
	count: number,
): Promise<readonly ForwardBackend[]> {
	const { weights, ...sizes } = options;
	const { vocabSize, contextLength } = weights.spec;
	const kvs = Array.from({ length: count }, () => allocateKv(weights.spec, sizes.numKvBlocks));
	const limits = {
		...sizes,
		maxDrafts: sizes.maxDrafts ?? 0,
		vocabSize,
		contextLength,
		kvBlockSize: KV_BLOCK_SIZE,
	};
	const model = await loadReferenceModel(weights);
	return kvs.map((kv) => new ReferenceBackend(model, kv, limits));
}

function allocateKv({ numLayers, numKvHeads, headDim }: ModelSpec, numKvBlocks: number): ReferenceKv {
	try {
		return new ReferenceKv(numKvBlocks, KV_BLOCK_SIZE, numLayers, numKvHeads * headDim);
	} catch (error) {
		throw new DynError(
			"OUT_OF_MEMORY",
			`the KV cache of ${numKvBlocks} blocks does not fit; use fewer blocks`,
			{
				cause: error,
			},
		);
	}
}

class ReferenceBackend implements ForwardBackend {
	readonly info: BackendInfo;
	readonly #model: ReferenceModel;
	readonly #kv: ReferenceKv;
	readonly #limits: StepLimits;
	readonly #samplers = new Map<number, ReferenceSampler>();
	/** Logits of the last step, by slot: after the last row, and before it after every row that a guess follows. */
	readonly #logits = new Map<number, Float32Array[]>();
	/** Hidden states of the last step, by slot. */
	readonly #hidden = new Map<number, Float32Array>();
	#running: Promise<StepResult> | null = null;
	#cancelled = false;
	#closed = false;

	constructor(model: ReferenceModel, kv: ReferenceKv, limits: StepLimits) {
		this.#model = model;
		this.#kv = kv;
		this.#limits = limits;
		this.info = {
			isa: "reference",
			threads: 1,
			weightBytes: model.bytes,
			kvBlockBytes: kv.blockBytes,
			kvLayout: "reference",
			scoresPrompts: true,
		};
	}

	async step(sequences: readonly StepSequence[]): Promise<StepResult> {
		this.#requireIdle();
		checkStep(sequences, this.#limits, (slot) => this.#samplers.has(slot));
		for (const { adapter = 0 } of sequences)
			if (adapter !== 0 && !this.#model.adapters.has(adapter))
				throw new DynError("INVALID_ARGUMENT", `adapter ${adapter} is not loaded`);
		this.#cancelled = false;
		this.#running = this.#run(sequences);
		try {
			return await this.#running;
		} finally {
			this.#running = null;
		}
	}

	async #run(sequences: readonly StepSequence[]): Promise<StepResult> {
		const began = performance.now();
		this.#logits.clear();
		this.#hidden.clear();
		const scores: SampledToken[] = [];
		for (const { slot, tokens, position, blocks, output, drafts = 0, scored, adapter = 0 } of sequences) {
			const added = adapter === 0 ? null : this.#model.adapters.get(adapter)!;
			const logits: Float32Array[] = [];
			const rows = new Float32Array(output === "hidden" ? tokens.length * this.#model.spec.hiddenSize : 0);
			for (const [i, token] of tokens.entries()) {
				await new Promise((resolve) => setImmediate(resolve)); // cancelStep and the rest of the process get their turn
				if (this.#cancelled) return { cancelled: true, sampled: [], elapsedMs: performance.now() - began };
				const hidden = forwardToken(this.#model, this.#kv, blocks, position + i, token, added);
				const target = scored?.targets[i];
				if (target !== undefined)
					scores.push(scoreToken(slot, headLogits(this.#model, hidden), target, scored!.top));
				if (output === "hidden") rows.set(finalHidden(this.#model, hidden), i * hidden.length);
				else if (output !== "none" && i >= tokens.length - 1 - drafts)
					logits.push(headLogits(this.#model, hidden));
			}
			if (output === "hidden") this.#hidden.set(slot, rows);
			else if (output !== "none") this.#logits.set(slot, logits);
		}
		const sampled = sequences
			.filter(({ output }) => output === "sample")
			.flatMap((sequence) => this.#sampleShare(sequence));
		return { cancelled: false, sampled, scores, elapsedMs: performance.now() - began };
	}

	/** One token after each row, up to the first that is not the guess in the next row. */
	#sampleShare({ slot, tokens, drafts = 0 }: StepSequence): SampledToken[] {
		const sampled: SampledToken[] = [];
		for (const guess of [...tokens.subarray(tokens.length - drafts), null]) {
			const token = this.#sample(slot, sampled.length)!; // only a mask can leave none
			sampled.push(token);
			if (token.tokenId !== guess) break;
		}
		return sampled;
	}

	cancelStep(): void {
		this.#cancelled = true;
	}

	openSlot(slot: number, params: SamplerParams, context: Uint32Array, generated: number): void {
		this.#requireIdle();
		this.#requireSlot(slot);
		if (generated > context.length)
			throw new DynError("INVALID_ARGUMENT", `slot ${slot}: more tokens generated than the context holds`);
		this.#samplers.set(slot, new ReferenceSampler(params, context, generated));
	}

	closeSlot(slot: number): void {
		this.#requireIdle();
		this.#requireSlot(slot);
		this.#samplers.delete(slot);
	}

	logits(slot: number): Float32Array {
		this.#requireIdle();
		this.#requireSlot(slot);
		return this.#rowOf(slot, 0);
	}

	sampleRows(rows: readonly RowToSample[]): SampledRow[] {
		this.#requireIdle();
		for (const { mask } of rows)
			if (mask && mask.length !== Math.ceil(this.#limits.vocabSize / 32))
				throw new DynError(
					"INVALID_ARGUMENT",
					`a mask must have a bit for each of ${this.#limits.vocabSize} tokens`,
				);
		return rows.map(({ slot, mask, edited }) =>
			edited && logitsProblem(this.logits(slot)) ? "unusable" : this.#sample(slot, 0, mask),
		);
	}

	hidden(slot: number): Float32Array {
		this.#requireIdle();
		this.#requireSlot(slot);
		const hidden = this.#hidden.get(slot);
		if (!hidden)
			throw new DynError("INVALID_ARGUMENT", `slot ${slot} has no hidden states from the last step`);
		return hidden.slice();
	}

	#sample(slot: number, output: number, mask?: Uint32Array): SampledToken | null {
		this.#requireSlot(slot);
		const sampler = this.#samplers.get(slot);
		if (!sampler) throw new DynError("INVALID_ARGUMENT", `slot ${slot} is not open`);
		return sampler.sample(slot, this.#rowOf(slot, output), mask);
	}

	#rowOf(slot: number, output: number): Float32Array {
		const logits = this.#logits.get(slot)?.[output];
		if (!logits) throw new DynError("INVALID_ARGUMENT", `slot ${slot} has no logits from the last step`);
		return logits;
	}

	loadAdapter(id: number, parts: readonly AdapterPart[]): void {
		this.#requireOpen();
		if (this.#model.adapters.has(id))
			throw new DynError("INVALID_ARGUMENT", `adapter ${id} is loaded already`);
		const byPlace = new Map(parts.map((part) => [`${part.layer}.${part.projection}`, part]));
		this.#model.adapters.set(id, byPlace);
	}

	unloadAdapter(id: number): void {
		this.#model.adapters.delete(id);
	}

	readBlock(block: number): Uint8Array {
		return this.#block(block).slice();
	}

	writeBlock(block: number, data: Uint8Array): void {
		const target = this.#block(block);
		if (data.length !== target.length)
			throw new DynError("INVALID_ARGUMENT", `a KV block has ${target.length} bytes, not ${data.length}`);
		target.set(data);
	}

	async close(): Promise<void> {
		this.#closed = true;
		this.#cancelled = true;
		await this.#running?.catch(() => {}); // whoever called step gets its error
		this.#samplers.clear();
		this.#logits.clear();
	}

	#block(block: number): Uint8Array {
		this.#requireOpen();
		if (!Number.isInteger(block) || block < 0 || block >= this.#limits.numKvBlocks)
			throw new DynError("INVALID_ARGUMENT", `KV block ${block} does not exist`);
		return this.#kv.block(block);
	}

	#requireOpen(): void {
		if (this.#closed) throw new DynError("UNAVAILABLE", "the reference backend is closed");
	}

	#requireIdle(): void {
		this.#requireOpen();
		if (this.#running) throw new DynError("INVALID_ARGUMENT", "a step is running");
	}

	#requireSlot(slot: number): void {
		if (!Number.isInteger(slot) || slot < 0 || slot >= this.#limits.maxSequences)
			throw new DynError("INVALID_ARGUMENT", `slot ${slot} does not exist`);
	}
}
