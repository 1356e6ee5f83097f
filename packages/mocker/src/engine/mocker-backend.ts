// SPDX-License-Identifier: Apache-2.0
import {
	type BackendInfo,
	type ForwardBackend,
	logitsProblem,
	type RowToSample,
	type SampledRow,
	type SampledToken,
	type SamplerParams,
	type StepResult,
	type StepSequence,
} from "@dyn/trtllm-native/core";
import {
	candidates,
	EMPTY_CONTEXT,
	extendContext,
	fromLogits,
	sampleMock,
	toLogits,
} from "./mock-sampler.js";
import type { MockerFaults } from "./mocker-faults.js";
import { StepClock } from "./step-clock.js";
import { type Speed, type StepTiming, type StepWork, stepMs } from "./timing.js";

export interface MockerBackendOptions {
	readonly vocabSize: number;
	/** Ids that are only chosen when a request asks for them. */
	readonly eosTokenIds: readonly number[];
	readonly kvBlockSize: number;
	readonly numKvBlocks: number;
	readonly timing: StepTiming;
	readonly speed: Speed;
	readonly faults: MockerFaults;
	/** Hears of every full block of tokens that a step computes. */
	readonly onBlock: (tokens: Uint32Array) => void;
}

interface Slot {
	readonly params: SamplerParams;
	/** Hash of every token so far. */
	context: number;
	/** They themselves. */
	readonly tokens: number[];
	generated: number;
	logits: Float32Array | null;
}

/** Computes nothing: tokens are a function of their context and the seed, time that of the work. */
export class MockerBackend implements ForwardBackend {
	readonly info: BackendInfo = {
		isa: "none",
		threads: 0,
		weightBytes: 0,
		kvBlockBytes: 0,
		kvLayout: "mocker",
	};
	readonly #options: MockerBackendOptions;
	readonly #excluded: ReadonlySet<number>;
	readonly #slots = new Map<number, Slot>();
	readonly #clock = new StepClock();
	#cancelled = false;

	constructor(options: MockerBackendOptions) {
		this.#options = options;
		this.#excluded = new Set(options.eosTokenIds.filter((id) => id < options.vocabSize));
	}

	async step(sequences: readonly StepSequence[]): Promise<StepResult> {
		const { timing, speed, faults } = this.#options;
		this.#cancelled = false;
		const began = performance.now();
		const lateMs = await faults.step();
		if (!this.#cancelled) await this.#clock.pass(stepMs(timing, this.#work(sequences), speed) + lateMs);
		const elapsedMs = performance.now() - began;
		if (this.#cancelled) return { cancelled: true, sampled: [], elapsedMs };
		for (const share of sequences) this.#tellBlocks(share);
		const sampled = sequences.flatMap(({ slot, output }) =>
			output === "sample" ? [this.#sample(slot, null)] : [],
		);
		for (const { slot, output } of sequences)
			if (output === "logits") this.#slots.get(slot)!.logits = this.#row(slot);
		return { cancelled: false, sampled, elapsedMs };
	}

	cancelStep(): void {
		this.#cancelled = true;
		this.#clock.interrupt();
	}

	openSlot(slot: number, params: SamplerParams, context: Uint32Array, generated: number): void {
		this.#slots.set(slot, {
			params,
			context: context.reduce(extendContext, EMPTY_CONTEXT),
			tokens: [...context],
			generated,
			logits: null,
		});
	}

	closeSlot(slot: number): void {
		this.#slots.delete(slot);
	}

	logits(slot: number): Float32Array {
		return this.#slots.get(slot)!.logits!;
	}

	sampleRows(rows: readonly RowToSample[]): SampledRow[] {
		return rows.map(({ slot, edited }) => {
			const row = this.logits(slot);
			return edited && logitsProblem(row) ? "unusable" : this.#sample(slot, row);
		});
	}

	readBlock(): Uint8Array {
		return new Uint8Array();
	}

	writeBlock(): void {}

	async close(): Promise<void> {
		this.#slots.clear();
	}

	#work(sequences: readonly StepSequence[]): StepWork {
		const { kvBlockSize, numKvBlocks } = this.#options;
		let prefillTokens = 0;
		let decodeSequences = 0;
		let decodeContextTokens = 0;
		for (const { slot, tokens, position } of sequences) {
			if (tokens.length > 1 || this.#slots.get(slot)!.generated === 0) prefillTokens += tokens.length;
			else {
				decodeSequences++;
				decodeContextTokens += position + 1;
			}
		}
		return {
			prefillTokens,
			decodeSequences,
			decodeContextTokens,
			kvCapacityTokens: numKvBlocks * kvBlockSize,
		};
	}

	#tellBlocks({ slot, tokens, position }: StepSequence): void {
		const { kvBlockSize, onBlock } = this.#options;
		const all = this.#slots.get(slot)!.tokens;
		const first = Math.floor(position / kvBlockSize);
		const full = Math.floor((position + tokens.length) / kvBlockSize);
		for (let block = first; block < full; block++)
			onBlock(Uint32Array.from(all.slice(block * kvBlockSize, (block + 1) * kvBlockSize)));
	}

	#sample(index: number, row: Float32Array | null): SampledToken {
		const slot = this.#slots.get(index)!;
		const values = row ? fromLogits(row) : this.#candidates(slot);
		const token = sampleMock(index, values, slot.params, slot, slot.generated);
		slot.context = extendContext(slot.context, token.tokenId);
		slot.tokens.push(token.tokenId);
		slot.generated++;
		return token;
	}

	#row(index: number): Float32Array {
		return toLogits(this.#candidates(this.#slots.get(index)!), this.#options.vocabSize);
	}

	#candidates({ context }: Slot): Map<number, number> {
		return candidates(context, this.#options.vocabSize, this.#excluded);
	}
}
