// SPDX-License-Identifier: Apache-2.0
// A backend that computes on paper: the "KV" of a position is a checksum of all tokens up to it, and the next token is
// a function of that checksum. A block that is mixed up, shared too early, overwritten or read before it was written
// gives another token or an error, so the engine's bookkeeping can be judged by its output, in no time.
import { logitsProblem } from "@dyn/logits";
import type {
	BackendInfo,
	ForwardBackend,
	RowToSample,
	SampledRow,
	SampledToken,
	SamplerParams,
	StepResult,
	StepSequence,
} from "../../backend/forward-backend.js";
import type { ModelSpec } from "../../model/model-spec.js";
import { embeddedEngine } from "../embedded-engine.js";
import type { OpenEngine } from "../core-options.js";
import type { EngineCore } from "../engine-core.js";
import { KV_BLOCK_SIZE } from "../../backend/kv-block.js";
import { type EmbeddedEngineOptions, type EngineLimits, resolveLimits } from "../options.js";

const SPEC: ModelSpec = {
	architecture: "llama",
	numLayers: 1,
	hiddenSize: 1,
	numHeads: 1,
	numKvHeads: 1,
	headDim: 1,
	intermediateSize: 1,
	vocabSize: 1000,
	contextLength: 512,
	rmsNormEps: 1,
	ropeTheta: 1,
	ropeScaling: null,
	tiedHead: true,
	qkvBias: false,
	qkNorm: false,
	eosTokenIds: [0],
	bosTokenId: null,
};

interface Slot {
	readonly params: SamplerParams;
	generated: number;
	logits: Float32Array | null;
}

export class PaperBackend implements ForwardBackend {
	readonly info: BackendInfo = {
		isa: "paper",
		threads: 1,
		weightBytes: 0,
		kvBlockBytes: 2 * KV_BLOCK_SIZE * 4,
		kvLayout: "paper",
	};
	/** Every step that was asked for. */
	readonly steps: (readonly StepSequence[])[] = [];
	/** What the next step rejects with. */
	failure: Error | null = null;
	cancelledSteps = 0;
	closed = false;
	readonly #limits: EngineLimits;
	readonly #tokens: Int32Array;
	readonly #sums: Int32Array;
	readonly #slots = new Map<number, Slot>();
	/** Absent until `runPasses`: most tests count on steps of one pass. */
	yieldStep?: () => void;
	#running = false;
	#cancel = false;
	#yield = false;
	#wake: () => void = () => {};
	#gate: { readonly opened: Promise<void>; readonly open: () => void } | null = null;
	/** Whether a step waits at the gate, and who waits for that. */
	#held = false;
	#whenHeld: (() => void)[] = [];

	constructor(limits: EngineLimits) {
		this.#limits = limits;
		this.#tokens = new Int32Array(limits.numKvBlocks * KV_BLOCK_SIZE).fill(-1);
		this.#sums = new Int32Array(limits.numKvBlocks * KV_BLOCK_SIZE);
	}

	/** Steps do not end (unless cancelled) until the returned function is called. */
	hold(): () => void {
		let open = () => {};
		const opened = new Promise<void>((resolve) => {
			open = resolve;
		});
		this.#gate = { opened, open };
		return () => {
			this.#gate = null;
			this.#held = false;
			open();
		};
	}

	/** Resolves when a step is on its way and held. */
	async held(): Promise<void> {
		if (!this.#held) await new Promise<void>((resolve) => this.#whenHeld.push(resolve));
	}

	/** Steps may have several passes from now on. */
	runPasses(): void {
		this.yieldStep = () => {
			this.#yield = true;
		};
	}

	/** On paper a pass takes a millisecond. */
	async step(sequences: readonly StepSequence[], passes = 1, withinMs: number = Infinity): Promise<StepResult> {
		this.#requireIdle();
		this.#running = true;
		this.#cancel = false;
		this.#yield = false;
		this.steps.push(sequences);
		try {
			this.#check(sequences, passes);
			const sampled: SampledToken[] = [];
			let shares = sequences;
			for (let pass = 1; ; pass++) {
				const chosen = await this.#pass(shares);
				if (chosen === null) return { cancelled: pass === 1, sampled, elapsedMs: pass - 1 };
				sampled.push(...chosen);
				const ends = chosen.some(({ slot, tokenId }) => this.#slots.get(slot)!.params.endIds.includes(tokenId));
				if (pass === passes || pass + 1 > withinMs || this.#yield || ends)
					return { cancelled: false, sampled, elapsedMs: pass };
				shares = shares.map((share, i) => ({
					...share,
					tokens: Uint32Array.of(chosen[i]!.tokenId),
					position: share.position + 1,
				}));
			}
		} finally {
			this.#running = false;
			this.#held = false;
		}
	}

	/** What is chosen; null: the step was cancelled meanwhile. */
	async #pass(sequences: readonly StepSequence[]): Promise<SampledToken[] | null> {
		const cancelled = new Promise<void>((resolve) => {
			this.#wake = resolve;
		});
		await new Promise((resolve) => setImmediate(resolve));
		if (this.#gate && !this.#cancel) {
			this.#held = true;
			for (const resolve of this.#whenHeld.splice(0)) resolve();
			await Promise.race([this.#gate.opened, cancelled]);
			this.#held = false;
		}
		if (this.failure) throw this.failure;
		if (this.#cancel) {
			this.cancelledSteps++;
			for (const share of sequences) this.#spoil(share);
			return null;
		}
		return sequences.flatMap((share) => {
			const slot = this.#slots.get(share.slot)!;
			this.#write(share);
			const guesses = share.tokens.subarray(share.tokens.length - (share.drafts ?? 0));
			const chosen: SampledToken[] = [];
			for (const guess of share.output === "sample" ? [...guesses, -1] : []) {
				slot.logits = this.#logitsAfter(share, share.tokens.length - guesses.length + chosen.length);
				chosen.push(this.#sample(share.slot)!);
				if (chosen.at(-1)!.tokenId !== guess) break;
			}
			slot.logits = share.output === "none" ? null : this.#logitsAfter(share, share.tokens.length);
			return chosen;
		});
	}

	cancelStep(): void {
		this.#cancel = true;
		this.#wake();
	}

	openSlot(slot: number, params: SamplerParams, context: Uint32Array, generated: number): void {
		this.#requireIdle();
		if (this.#slots.has(slot)) throw new Error(`slot ${slot} is open`);
		if (slot < 0 || slot >= this.#limits.maxNumSeqs) throw new Error(`no slot ${slot}`);
		if (generated > context.length) throw new Error("more generated than there is");
		this.#slots.set(slot, { params, generated, logits: null });
	}

	closeSlot(slot: number): void {
		this.#requireIdle();
		if (!this.#slots.delete(slot)) throw new Error(`slot ${slot} is not open`);
	}

	logits(slot: number): Float32Array {
		this.#requireIdle();
		return this.#slots.get(slot)!.logits!;
	}

	sampleRows(rows: readonly RowToSample[]): SampledRow[] {
		this.#requireIdle();
		return rows.map(({ slot, mask, edited }) =>
			edited && logitsProblem(this.logits(slot)) ? "unusable" : this.#sample(slot, mask),
		);
	}

	readBlock(block: number): Uint8Array {
		const [from, to] = [block * KV_BLOCK_SIZE, (block + 1) * KV_BLOCK_SIZE];
		const both = Int32Array.from([...this.#tokens.subarray(from, to), ...this.#sums.subarray(from, to)]);
		return new Uint8Array(both.buffer);
	}

	writeBlock(block: number, data: Uint8Array): void {
		const both = new Int32Array(Uint8Array.from(data).buffer);
		this.#tokens.set(both.subarray(0, KV_BLOCK_SIZE), block * KV_BLOCK_SIZE);
		this.#sums.set(both.subarray(KV_BLOCK_SIZE), block * KV_BLOCK_SIZE);
	}

	async close(): Promise<void> {
		this.closed = true;
	}

	get openSlots(): number {
		return this.#slots.size;
	}

	#requireIdle(): void {
		if (this.closed) throw new Error("closed");
		if (this.#running) throw new Error("a step is running");
	}

	#check(sequences: readonly StepSequence[], passes: number): void {
		const rows = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
		if (rows === 0 || rows > this.#limits.maxNumBatchedTokens) throw new Error(`a step of ${rows} rows`);
		const readers = new Map<number, number>();
		for (const { blocks } of sequences)
			for (const block of new Set(blocks)) readers.set(block, (readers.get(block) ?? 0) + 1);
		for (const { slot, tokens, position, blocks, output, drafts = 0 } of sequences) {
			const end = position + tokens.length + passes - 1;
			if (passes > 1 && (tokens.length > 1 || output !== "sample" || drafts > 0)) throw new Error("passes of more than one token");
			if (!this.#slots.has(slot)) throw new Error(`slot ${slot} is not open`);
			if (tokens.length === 0 || blocks.length * KV_BLOCK_SIZE < end)
				throw new Error("blocks do not cover the tokens");
			const first = Math.floor(position / KV_BLOCK_SIZE);
			const last = Math.floor((end - 1) / KV_BLOCK_SIZE);
			for (const block of blocks.subarray(first, last + 1))
				if (readers.get(block) !== 1) throw new Error(`block ${block} is written and read by another`);
		}
	}

	#write({ tokens, position, blocks }: StepSequence): void {
		for (const [i, token] of tokens.entries()) {
			const at = this.#at(blocks, position + i);
			this.#tokens[at] = token;
			this.#sums[at] = mix(position + i === 0 ? 1 : this.#sums[this.#at(blocks, position + i - 1)]!, token);
		}
	}

	/** Logits after the first `count` tokens of a share. */
	#logitsAfter({ position, blocks }: StepSequence, count: number): Float32Array {
		let sum = 1;
		for (let i = 0; i < position + count; i++) {
			const at = this.#at(blocks, i);
			sum = mix(sum, this.#tokens[at]!);
			if (sum !== this.#sums[at]) throw new Error(`position ${i} holds another sequence's content`);
		}
		const logits = new Float32Array(SPEC.vocabSize);
		for (let k = 0; k < 3; k++) logits[((mix(sum, k) >>> 8) % (SPEC.vocabSize - 1)) + 1]! = 3 - k;
		return logits;
	}

	#spoil({ tokens, position, blocks }: StepSequence): void {
		for (let i = 0; i < tokens.length; i++) this.#tokens[this.#at(blocks, position + i)] = -2;
	}

	#at(blocks: Uint32Array, position: number): number {
		return blocks[Math.floor(position / KV_BLOCK_SIZE)]! * KV_BLOCK_SIZE + (position % KV_BLOCK_SIZE);
	}

	/** The best id that is allowed; with a temperature, the seed moves it. Of bad words it knows those of one token. */
	#sample(index: number, mask?: Uint32Array): SampledToken | null {
		const slot = this.#slots.get(index)!;
		const { params } = slot;
		const row = slot.logits!.slice();
		if (slot.generated < params.minTokens) for (const id of params.endIds) row[id] = -Infinity;
		for (const [k, id] of params.biasIds.entries()) row[id]! += params.biasValues[k]!;
		for (const word of params.badWords ?? []) if (word.length === 1) row[word[0]!] = -Infinity;
		if (mask) for (const id of row.keys()) if (!((mask[id >>> 5]! >>> (id & 31)) & 1)) row[id] = -Infinity;
		const order = Array.from(row.keys()).sort((a, b) => row[b]! - row[a]! || a - b);
		const best = order[0]!;
		const allowed = order.filter((id) => row[id]! > -Infinity).sort((a, b) => a - b);
		if (allowed.length === 0) return null;
		const moved = mix(mix(best, params.seedLow), slot.generated) >>> 8;
		const tokenId = params.temperature === 0 ? best : mask ? allowed[moved % allowed.length]! : moved % SPEC.vocabSize;
		slot.generated++;
		const top = order.slice(0, Math.max(params.logprobs, 0));
		return {
			slot: index,
			tokenId,
			logprob: params.logprobs < 0 ? Number.NaN : -1,
			topIds: Uint32Array.from(top),
			topLogprobs: Float64Array.from(top, (_, k) => -1 - k),
		};
	}
}

function mix(a: number, b: number): number {
	const x = Math.imul(a ^ (b + 0x9e3779b9), 0x85ebca6b);
	return (x ^ (x >>> 15)) | 0;
}

/** An engine over a paper backend, started. */
export async function paperEngine(
	options: Partial<EmbeddedEngineOptions> = {},
	speculation: OpenEngine["speculation"] = null,
	grammars: OpenEngine["grammars"] = null,
): Promise<{ readonly engine: EngineCore; readonly backend: PaperBackend }> {
	const limits = resolveLimits({ modelPath: "", numKvBlocks: 64, ...options }, SPEC, KV_BLOCK_SIZE, 1);
	const backend = new PaperBackend(limits);
	const engine = embeddedEngine({ modelPath: "paper", ...options }, async () => ({
		spec: SPEC,
		limits,
		kvBlockSize: KV_BLOCK_SIZE,
		description: "embedded, paper, 1 thread",
		backend,
		speculation,
		grammars,
	}));
	await engine.start();
	return { engine, backend };
}
