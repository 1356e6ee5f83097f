// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue, DynError, invalidArgument } from "@dyn/common";
import { checkFeatures, type Engine, type EngineHealth, type EngineInfo, type EngineLoad, type RequestFeature } from "@dyn/engine";
import type { EngineOutput, FinishReason, GenerateRequest, KvEvent, KvSession, TokenLogprobs } from "@dyn/protocols";

const FEATURES: readonly RequestFeature[] = [
	"visible_stop_token_ids",
	"prompt_logprobs",
	"priority",
	"cache_salt",
	"bypass_prefix_cache",
	"conversation_id",
	"guided_regex",
	"prefill",
	"decode",
];

export const TOY_INFO: EngineInfo = {
	model: "toy",
	contextLength: 1000,
	vocabSize: 100,
	eosTokenIds: [2],
	kvBlockSize: 32,
	totalKvBlocks: 64,
	maxNumSeqs: 8,
	maxNumBatchedTokens: 100,
	dpSize: 1,
	description: "toy",
	capabilities: { logprobs: true, maxChoices: 4, kvEvents: true, features: FEATURES },
};

/** A prompt that begins with this fails after its second token; one with the next at once. */
export const FAILS_LATE = 90;
export const FAILS_FIRST = 91;

const logprobsOf = (tokenId: number, count: number): TokenLogprobs => ({
	tokenId,
	logprob: -0.5,
	top: Array.from({ length: count }, (_, i) => ({ tokenId: (tokenId + i) % 100, logprob: -0.5 - i })),
});

/** Keeps the `Engine` contract with tokens that follow from the prompt; remembers the requests it got. */
export class ToyEngine implements Engine {
	readonly requests: GenerateRequest[] = [];
	readonly #closing = new AbortController();
	#events: AsyncQueue<KvEvent> | null = null;
	#eventId = 0;
	#running = 0;
	#isDraining = false;
	#whenIdle: (() => void)[] = [];

	async start(): Promise<EngineInfo> {
		return TOY_INFO;
	}

	async *generate(
		request: GenerateRequest,
		{ signal }: { readonly signal: AbortSignal },
	): AsyncIterable<EngineOutput> {
		this.#check(request);
		this.requests.push(request);
		this.#running++;
		try {
			const { sampling, stop, output, tokenIds } = request;
			if (tokenIds[0] === FAILS_FIRST) throw new DynError("INTERNAL", "the toy broke");
			for (let i = 0; i < Math.floor(tokenIds.length / 32); i++)
				this.#store(BigInt(i + 1), i === 0 ? null : BigInt(i));
			const isPrefill = request.disaggregation?.role === "prefill";
			const limit = isPrefill ? 1 : (stop.maxTokens ?? 20);
			for (let index = 0; index < (sampling.n ?? 1); index++) {
				let state = Array.from(tokenIds).reduce((sum, id) => (sum * 31 + id) % 100_003, 7 + index);
				let sent = 0;
				let reason: FinishReason | null = null;
				let stopTokenId: number | null = null;
				while (reason === null) {
					await new Promise((resolve) => setImmediate(resolve));
					if (signal.aborted || this.#closing.signal.aborted) {
						reason = "cancelled";
						break;
					}
					if (tokenIds[0] === FAILS_LATE && sent === 2) throw new DynError("INTERNAL", "the toy broke");
					state = (state * 48_271 + 11) % 100_003;
					const tokenId = 3 + (state % 90);
					const isStop = stop.stopTokenIds.includes(tokenId) && sent >= (stop.minTokens ?? 0);
					const isVisibleStop = stop.visibleStopTokenIds.includes(tokenId);
					if (isStop || isVisibleStop) [reason, stopTokenId] = ["stop", tokenId];
					if (isStop) break;
					sent++;
					if (sent === limit && reason === null) reason = "length";
					yield {
						index,
						tokenIds: [tokenId],
						logprobs: output.logprobs === null ? null : [logprobsOf(tokenId, output.logprobs)],
						finishReason: null,
						stopTokenId: null,
						usage: null,
						...(output.promptLogprobs !== null && index === 0 && sent === 1
							? {
									promptLogprobs: Array.from(tokenIds, (id, i) =>
										i === 0 ? null : logprobsOf(id, output.promptLogprobs!),
									),
								}
							: {}),
					};
				}
				yield {
					index,
					tokenIds: [],
					logprobs: output.logprobs === null ? null : [],
					finishReason: reason,
					stopTokenId,
					usage: { promptTokens: tokenIds.length, completionTokens: sent, cachedTokens: 3 },
					...(isPrefill && reason === "length" ? { kvSession: SESSION } : {}),
				};
			}
		} finally {
			this.#running--;
			if (this.#running === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
		}
	}

	kvEvents(): AsyncIterable<KvEvent> {
		this.#events = new AsyncQueue();
		return this.#events;
	}

	clearCache(): void {
		this.#events?.push({ eventId: this.#eventId++, dpRank: 0, data: { type: "cleared" } });
	}

	load(): readonly EngineLoad[] {
		return [
			{ dpRank: 0, runningSequences: this.#running, waitingSequences: 0, activeKvBlocks: this.#running, cachedKvBlocks: 0, totalKvBlocks: 64 },
		];
	}

	health(): EngineHealth {
		return { status: "healthy" };
	}

	async drain(): Promise<void> {
		this.#isDraining = true;
		if (this.#running > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
	}

	async close(): Promise<void> {
		this.#closing.abort();
		this.#events?.end();
	}

	#store(blockHash: bigint, parentHash: bigint | null): void {
		const data = { type: "stored", parentHash, blocks: [{ blockHash, tokensHash: blockHash + 1000n }] } as const;
		this.#events?.push({ eventId: this.#eventId++, dpRank: 0, data });
	}

	#check(request: GenerateRequest): void {
		if (this.#isDraining) throw new DynError("DRAINING", "not now");
		checkFeatures(request, FEATURES);
		if (request.tokenIds.length >= TOY_INFO.contextLength) throw new DynError("CONTEXT_LENGTH_EXCEEDED", "too long");
		if (request.tokenIds.length === 0 || Array.from(request.tokenIds).some((id) => id >= 100))
			throw invalidArgument("prompt", "bad prompt");
		if (request.sampling.topP === 0) throw invalidArgument("top_p", "bad top_p");
		if (request.stop.maxTokens === 0) throw invalidArgument("max_tokens", "bad max_tokens");
	}
}

export const SESSION: KvSession = {
	sessionId: "42",
	transferBackend: "TOY",
	endpoints: [{ host: "127.0.0.1", port: 5, protocol: "toy" }],
	dpRank: 0,
	attributes: { half: 12.5, one: 1, text: "1", list: [1, [2, null], { deep: true }], big: "9007199254740993", __proto__: null },
};
