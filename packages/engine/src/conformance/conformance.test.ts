// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import type { Engine, EngineInfo } from "../engine.js";
import { checkFeatures } from "../request-features.js";
import { conformanceCases } from "./cases.js";

const info: EngineInfo = {
	model: "toy",
	contextLength: 1000,
	vocabSize: 100,
	eosTokenIds: [],
	kvBlockSize: 32,
	totalKvBlocks: 8,
	maxNumSeqs: 8,
	maxNumBatchedTokens: 100,
	dpSize: 1,
	description: "toy",
	capabilities: { logprobs: true, maxChoices: 4, kvEvents: true, features: ["visible_stop_token_ids"] },
};

/** What a toy engine does wrong. */
interface Flaws {
	readonly twoEnds?: true;
	readonly usageEverywhere?: true;
	readonly noise?: true;
	readonly companyMatters?: true;
	readonly sendsStopId?: true;
	readonly ignoresMinTokens?: true;
	readonly logprobsAlways?: true;
	readonly ignoresCancel?: true;
	readonly leaks?: true;
	readonly acceptsAnything?: true;
	readonly dropsFields?: true;
	readonly hidesVisibleStop?: true;
	readonly gapInEvents?: true;
	readonly oneChoice?: true;
	readonly takesWhileDraining?: true;
	readonly silentClose?: true;
}

/** The smallest engine that keeps the contract, or breaks one rule of it. */
function toyEngine(flaws: Flaws = {}): Engine {
	let active = 0;
	let state = "running";
	let noise = 0;
	const listeners: ((event: KvEvent) => void)[] = [];
	const idle: (() => void)[] = [];
	const tick = () => new Promise((resolve) => setImmediate(resolve));
	let eventId = 0;
	const check = (request: GenerateRequest) => {
		const { tokenIds, sampling, stop } = request;
		if (state === "closed" || (state === "draining" && !flaws.takesWhileDraining))
			throw new DynError(state === "closed" ? "UNAVAILABLE" : "DRAINING", "not now");
		if (flaws.acceptsAnything) return;
		if (!flaws.dropsFields) checkFeatures(request, info.capabilities.features);
		if (tokenIds.length >= info.contextLength) throw new DynError("CONTEXT_LENGTH_EXCEEDED", "long");
		if (
			tokenIds.length === 0 ||
			Array.from(tokenIds).some((id) => id >= info.vocabSize) ||
			sampling.topP === 0 ||
			stop.maxTokens === 0
		)
			throw new DynError("INVALID_ARGUMENT", "bad");
	};
	return {
		start: async () => info,
		async *generate(request, { signal }) {
			check(request);
			active++;
			try {
				const { tokenIds, stop, sampling, output } = request;
				const blocks = Math.floor(tokenIds.length / 32);
				for (let i = 0; i < blocks; i++) {
					eventId += flaws.gapInEvents ? 2 : 1;
					const event: KvEvent = {
						eventId,
						dpRank: 0,
						data: { type: "stored", parentHash: null, blocks: [{ blockHash: BigInt(i), tokensHash: 0n }] },
					};
					for (const listen of listeners) listen(event);
				}
				for (let index = 0; index < (flaws.oneChoice ? 1 : (sampling.n ?? 1)); index++) {
					let sum =
						Array.from(tokenIds).reduce((total, id) => total + id, index + (sampling.seed ?? 0)) +
						(flaws.noise ? noise++ : 0);
					let sent = 0;
					const finish = (
						finishReason: EngineOutput["finishReason"],
						stopTokenId: number | null = null,
					): EngineOutput => ({
						index,
						tokenIds: [],
						logprobs: output.logprobs === null ? null : [],
						finishReason,
						stopTokenId,
						usage: { promptTokens: tokenIds.length, completionTokens: sent, cachedTokens: 0 },
					});
					for (;;) {
						await tick();
						if ((signal.aborted || state === "closed") && !flaws.ignoresCancel) {
							if (!(flaws.silentClose && state === "closed")) yield finish("cancelled");
							break;
						}
						if (flaws.companyMatters && active > 1) sum++;
						sum = (sum * 31 + 7) % 89;
						const stops =
							stop.stopTokenIds.includes(sum) && (flaws.ignoresMinTokens || sent >= (stop.minTokens ?? 0));
						if (stops && !flaws.sendsStopId) {
							yield finish("stop", sum);
							break;
						}
						const stopsVisibly = stop.visibleStopTokenIds.includes(sum);
						if (stopsVisibly && flaws.hidesVisibleStop) {
							yield finish("stop", sum);
							break;
						}
						sent++;
						const last = sent === (stop.maxTokens ?? 16) || stops || stopsVisibly;
						const logprobs =
							output.logprobs === null && !flaws.logprobsAlways
								? null
								: [
										{
											tokenId: sum,
											logprob: -1,
											top: Array.from({ length: output.logprobs ?? 0 }, (_, k) => ({
												tokenId: sum + k,
												logprob: -1 - k,
											})),
										},
									];
						const usage = { promptTokens: tokenIds.length, completionTokens: sent, cachedTokens: 0 };
						yield {
							index,
							tokenIds: [sum],
							logprobs,
							finishReason: stopsVisibly ? "stop" : last ? "length" : null,
							stopTokenId: null,
							usage: last || flaws.usageEverywhere ? usage : null,
						};
						if (last) {
							if (flaws.twoEnds) yield finish("length");
							break;
						}
					}
				}
			} finally {
				if (!flaws.leaks) active--;
				if (active === 0) for (const resolve of idle.splice(0)) resolve();
			}
		},
		async *kvEvents() {
			const pending: KvEvent[] = [];
			let wake = () => {};
			listeners.push((event) => {
				pending.push(event);
				wake();
			});
			for (;;) {
				while (pending.length > 0) yield pending.shift()!;
				await new Promise<void>((resolve) => {
					wake = resolve;
				});
			}
		},
		load: () => [
			{
				dpRank: 0,
				runningSequences: active,
				waitingSequences: 0,
				activeKvBlocks: active,
				cachedKvBlocks: 0,
				totalKvBlocks: 8,
			},
		],
		health: () => ({ status: "healthy" }),
		async drain() {
			state = "draining";
			if (active > 0) await new Promise<void>((resolve) => idle.push(resolve));
		},
		async close() {
			state = "closed";
		},
	};
}

describe("conformance kit", () => {
	it("passes an engine that keeps the contract", async () => {
		for (const each of conformanceCases) await each.run({ engine: toyEngine(), info });
	});

	it.each<[Flaws, string]>([
		[{ twoEnds: true }, "yields deltas, one end per choice, usage with it"],
		[{ usageEverywhere: true }, "yields deltas, one end per choice, usage with it"],
		[{ noise: true }, "is deterministic when greedy, and for a seed"],
		[{ companyMatters: true }, "does not mix eight interleaved requests"],
		[{ oneChoice: true }, "gives n choices"],
		[{ sendsStopId: true }, "stops at a stop id, without sending it, and not before minTokens"],
		[{ ignoresMinTokens: true }, "stops at a stop id, without sending it, and not before minTokens"],
		[{ logprobsAlways: true }, "reports log-probabilities when asked, and only then"],
		[{ ignoresCancel: true }, "ends a cancelled request with cancelled, in time"],
		[{ ignoresCancel: true }, "cancels before the first token"],
		[{ leaks: true }, "frees everything when a consumer leaves early"],
		[{ acceptsAnything: true }, "refuses bad requests with a typed error and harms no other"],
		[{ dropsFields: true }, "refuses by name what it cannot honour"],
		[{ hidesVisibleStop: true }, "sends a visible stop id and ends with it"],
		[{ gapInEvents: true }, "numbers KV events without gaps, and they replay"],
		[{ takesWhileDraining: true }, "drains: refuses new requests, finishes running ones"],
		[{ silentClose: true }, "closes with running requests, twice"],
	])("catches %j", async (flaws, name) => {
		const judge = conformanceCases.find((each) => each.name === name)!;
		await expect(judge.run({ engine: toyEngine(flaws), info })).rejects.toThrow();
	});
});
