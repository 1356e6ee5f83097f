// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ModelWeights } from "../../model/model-spec.js";
import type {
	BackendInfo,
	ForwardBackend,
	SampledToken,
	SamplerParams,
	StepResult,
	StepSequence,
} from "../forward-backend.js";
import { forwardToken, headLogits, ReferenceKv } from "./reference-forward.js";
import { loadReferenceModel, type ReferenceModel } from "./reference-model.js";
import { ReferenceSampler } from "./sampler.js";

const KV_BLOCK_SIZE = 32;

export interface ReferenceBackendOptions {
	readonly weights: ModelWeights;
	readonly numKvBlocks: number;
	readonly maxSequences: number;
}

/**
 * The decoder in plain TypeScript, f32 weights and f64 sums: the oracle of the native backend's tests, and a fallback
 * for tiny models where no compiler is at hand. Slow: about 1 GFLOP/s.
 */
export async function createReferenceBackend({
	weights,
	numKvBlocks,
	maxSequences,
}: ReferenceBackendOptions): Promise<ForwardBackend> {
	return new ReferenceBackend(await loadReferenceModel(weights), numKvBlocks, maxSequences);
}

class ReferenceBackend implements ForwardBackend {
	readonly info: BackendInfo;
	readonly #model: ReferenceModel;
	readonly #kv: ReferenceKv;
	readonly #samplers: (ReferenceSampler | null)[];
	readonly #logits: Float32Array[];
	#cancelled = false;

	constructor(model: ReferenceModel, numKvBlocks: number, maxSequences: number) {
		const { numLayers, numKvHeads, headDim, vocabSize } = model.spec;
		this.#model = model;
		this.#kv = new ReferenceKv(numKvBlocks, KV_BLOCK_SIZE, numLayers, numKvHeads * headDim);
		this.#samplers = new Array(maxSequences).fill(null);
		this.#logits = Array.from({ length: maxSequences }, () => new Float32Array(vocabSize));
		this.info = {
			isa: "reference",
			threads: 1,
			weightBytes: model.bytes,
			kvBlockBytes: numLayers * 2 * KV_BLOCK_SIZE * numKvHeads * headDim * 4,
		};
	}

	async step(sequences: readonly StepSequence[]): Promise<StepResult> {
		this.#cancelled = false;
		const began = performance.now();
		for (const { slot, tokens, position, blocks, output } of sequences) {
			let hidden: Float32Array | null = null;
			for (const [i, token] of tokens.entries()) {
				await new Promise((resolve) => setImmediate(resolve)); // cancelStep gets its turn
				if (this.#cancelled) return { cancelled: true, sampled: [], elapsedMs: performance.now() - began };
				hidden = forwardToken(this.#model, this.#kv, blocks, position + i, token);
			}
			if (output !== "none") headLogits(this.#model, hidden!, this.#logits[slot]!);
		}
		const sampled = sequences
			.filter(({ output }) => output === "sample")
			.map(({ slot }) => this.sampleRow(slot));
		return { cancelled: false, sampled, elapsedMs: performance.now() - began };
	}

	cancelStep(): void {
		this.#cancelled = true;
	}

	openSlot(slot: number, params: SamplerParams, context: Uint32Array, generated: number): void {
		this.#samplers[slot] = new ReferenceSampler(params, context, generated);
	}

	closeSlot(slot: number): void {
		this.#samplers[slot] = null;
	}

	logits(slot: number): Float32Array {
		return this.#logits[slot]!;
	}

	sampleRow(slot: number): SampledToken {
		const sampler = this.#samplers[slot];
		if (!sampler) throw new DynError("INVALID_ARGUMENT", `slot ${slot} is not open`);
		return sampler.sample(slot, this.#logits[slot]!);
	}

	async close(): Promise<void> {
		this.#cancelled = true;
	}
}
