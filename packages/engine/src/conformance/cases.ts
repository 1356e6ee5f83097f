// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import {
	createGenerateRequest,
	type EngineOutput,
	type GenerateRequest,
	type GenerateRequestInit,
	type KvEvent,
} from "@dyn/protocols";
import type { Engine, EngineInfo } from "../engine.js";
import { REQUEST_FEATURES } from "../request-features.js";
import { EXAMPLES } from "./feature-examples.js";

/** What the cases ask of an engine under test. */
export interface ConformanceSubject {
	readonly engine: Engine;
	readonly info: EngineInfo;
}

/** One rule of the contract. `run` resolves when the engine keeps it and rejects with what it did instead. */
export interface ConformanceCase {
	readonly name: string;
	/** The case leaves the engine closed or draining: give it one of its own. */
	readonly ends?: true;
	run(subject: ConformanceSubject): Promise<void>;
}

/** Time within which a cancelled request must have ended, ms. */
const CANCEL_MS = 2000;

function check(condition: boolean, complaint: string): asserts condition {
	if (!condition) throw new Error(complaint);
}

const prompt = (seed: number, length = 40): number[] =>
	Array.from({ length }, (_, i) => 3 + ((seed * 31 + i * 7) % 90));
const greedy = (
	init: Partial<GenerateRequestInit> & { readonly tokenIds: readonly number[] },
): GenerateRequest =>
	createGenerateRequest({
		...init,
		sampling: { temperature: 0, ...init.sampling },
		stop: { maxTokens: 16, ignoreEos: true, ...init.stop },
	});

async function collect(
	engine: Engine,
	request: GenerateRequest,
	signal?: AbortSignal,
): Promise<EngineOutput[]> {
	const outputs: EngineOutput[] = [];
	for await (const output of engine.generate(request, createRequestContext(signal ? { signal } : {})))
		outputs.push(output);
	return outputs;
}

const tokensOf = (outputs: readonly EngineOutput[], index = 0) =>
	outputs.filter((output) => output.index === index).flatMap(({ tokenIds }) => tokenIds);

/** Each choice ends exactly once, says nothing after its end, and brings usage with the end and only there. */
function checkEnds(outputs: readonly EngineOutput[], choices: number): void {
	for (let index = 0; index < choices; index++) {
		const own = outputs.filter((output) => output.index === index);
		const ends = own.filter(({ finishReason }) => finishReason !== null);
		check(ends.length === 1, `choice ${index} ended ${ends.length} times`);
		check(own.at(-1) === ends[0], `choice ${index} went on after its end`);
		for (const { usage, finishReason } of own)
			check(
				(usage !== null) === (finishReason !== null),
				`choice ${index} brought usage elsewhere than at its end`,
			);
		const tokens = tokensOf(own, index).length;
		check(
			ends[0]!.usage!.completionTokens === tokens,
			`choice ${index} counted ${ends[0]!.usage!.completionTokens} tokens but sent ${tokens}`,
		);
	}
	const strange = outputs.find(({ index }) => index < 0 || index >= choices);
	check(!strange, `there is an output of choice ${strange?.index}`);
}

async function rejection(work: Promise<unknown>): Promise<unknown> {
	return work.then(
		() => null,
		(error) => error,
	);
}

async function becomesIdle(engine: Engine): Promise<void> {
	const began = performance.now();
	for (;;) {
		const load = engine.load();
		if (
			load.every(
				({ runningSequences, waitingSequences, activeKvBlocks }) =>
					runningSequences + waitingSequences + activeKvBlocks === 0,
			)
		)
			return;
		check(
			performance.now() - began < CANCEL_MS,
			`still holding after ${CANCEL_MS} ms: ${JSON.stringify(load)}`,
		);
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

/** The contract of `Engine`, rule by rule. Order matters to none of them. */
export const conformanceCases: readonly ConformanceCase[] = [
	{
		name: "yields deltas, one end per choice, usage with it",
		async run({ engine }) {
			const outputs = await collect(engine, greedy({ tokenIds: prompt(1) }));
			checkEnds(outputs, 1);
			check(tokensOf(outputs).length === 16, `maxTokens 16 gave ${tokensOf(outputs).length} tokens`);
			check(outputs.at(-1)!.finishReason === "length", `ended with ${outputs.at(-1)!.finishReason}`);
			check(outputs.at(-1)!.usage!.promptTokens === 40, "promptTokens is not the prompt's length");
		},
	},
	{
		name: "is deterministic when greedy, and for a seed",
		async run({ engine }) {
			for (const sampling of [{ temperature: 0 }, { temperature: 1, seed: 5 }]) {
				const request = greedy({ tokenIds: prompt(2), sampling });
				const [first, second] = [await collect(engine, request), await collect(engine, request)];
				check(
					String(tokensOf(first)) === String(tokensOf(second)),
					`two runs with ${JSON.stringify(sampling)} differ`,
				);
			}
		},
	},
	{
		name: "does not mix eight interleaved requests",
		async run({ engine }) {
			const requests = Array.from({ length: 8 }, (_, i) => greedy({ tokenIds: prompt(10 + i, 20 + 9 * i) }));
			const alone = [];
			for (const request of requests) alone.push(tokensOf(await collect(engine, request)));
			const together = await Promise.all(
				requests.map(async (request) => tokensOf(await collect(engine, request))),
			);
			for (const [i, tokens] of together.entries())
				check(String(tokens) === String(alone[i]), `request ${i} answers differently in company`);
		},
	},
	{
		name: "gives n choices",
		async run({ engine, info }) {
			const n = Math.min(3, info.capabilities.maxChoices);
			checkEnds(
				await collect(engine, greedy({ tokenIds: prompt(20), sampling: { n, temperature: 1, seed: 1 } })),
				n,
			);
		},
	},
	{
		name: "stops at a stop id, without sending it, and not before minTokens",
		async run({ engine }) {
			const free = tokensOf(await collect(engine, greedy({ tokenIds: prompt(3) })));
			const stopId = free[5]!;
			const first = free.indexOf(stopId);
			const stopped = await collect(
				engine,
				greedy({ tokenIds: prompt(3), stop: { stopTokenIds: [stopId] } }),
			);
			check(
				String(tokensOf(stopped)) === String(free.slice(0, first)),
				"the tokens before the stop id differ",
			);
			check(
				stopped.at(-1)!.finishReason === "stop" && stopped.at(-1)!.stopTokenId === stopId,
				`ended with ${stopped.at(-1)!.finishReason} at ${stopped.at(-1)!.stopTokenId}`,
			);
			const longer = tokensOf(
				await collect(
					engine,
					greedy({ tokenIds: prompt(3), stop: { stopTokenIds: [stopId], minTokens: first + 3 } }),
				),
			);
			check(longer.length >= first + 3, `minTokens ${first + 3} gave ${longer.length} tokens`);
		},
	},
	{
		name: "sends a visible stop id and ends with it",
		async run({ engine, info }) {
			if (!info.capabilities.features.includes("visible_stop_token_ids")) return;
			const free = tokensOf(await collect(engine, greedy({ tokenIds: prompt(3) })));
			const stopId = free[5]!;
			const stopped = await collect(
				engine,
				greedy({ tokenIds: prompt(3), stop: { visibleStopTokenIds: [stopId] } }),
			);
			check(
				String(tokensOf(stopped)) === String(free.slice(0, free.indexOf(stopId) + 1)),
				`the tokens up to the stop id differ: ${tokensOf(stopped)}`,
			);
			check(stopped.at(-1)!.finishReason === "stop", `ended with ${stopped.at(-1)!.finishReason}`);
		},
	},
	{
		name: "refuses by name what it cannot honour",
		async run({ engine, info }) {
			for (const feature of REQUEST_FEATURES) {
				if (info.capabilities.features.includes(feature)) continue;
				const request = greedy({ tokenIds: prompt(3), ...EXAMPLES[feature] });
				const error = await rejection(collect(engine, request));
				check(
					DynError.is(error, "UNIMPLEMENTED") && error.message.includes(feature),
					`${feature} was answered with ${error ?? "tokens"}`,
				);
			}
		},
	},
	{
		name: "reports log-probabilities when asked, and only then",
		async run({ engine, info }) {
			if (!info.capabilities.logprobs) return;
			const outputs = await collect(engine, greedy({ tokenIds: prompt(4), output: { logprobs: 3 } }));
			for (const { tokenIds, logprobs } of outputs) {
				check(logprobs !== null && logprobs.length === tokenIds.length, "not one log-probability per token");
				for (const [i, entry] of logprobs.entries()) {
					check(
						entry.tokenId === tokenIds[i] && entry.logprob <= 1e-5 && entry.top.length === 3,
						`malformed log-probability ${JSON.stringify(entry)}`,
					);
					check(entry.top[0]!.tokenId === entry.tokenId, "a greedy token is not the most likely one");
				}
			}
			check(
				(await collect(engine, greedy({ tokenIds: prompt(4) }))).every(({ logprobs }) => logprobs === null),
				"log-probabilities came unasked",
			);
		},
	},
	{
		name: "ends a cancelled request with cancelled, in time",
		async run({ engine }) {
			const stop = new AbortController();
			const outputs: EngineOutput[] = [];
			let abortedAt = 0;
			for await (const output of engine.generate(
				greedy({ tokenIds: prompt(5), stop: { maxTokens: 400 } }),
				createRequestContext({ signal: stop.signal }),
			)) {
				outputs.push(output);
				if (outputs.length === 2) {
					abortedAt = performance.now();
					stop.abort();
				}
			}
			check(performance.now() - abortedAt < CANCEL_MS, "took too long to end");
			check(outputs.at(-1)!.finishReason === "cancelled", `ended with ${outputs.at(-1)!.finishReason}`);
			await becomesIdle(engine);
		},
	},
	{
		name: "cancels before the first token",
		async run({ engine }) {
			const outputs = await collect(
				engine,
				greedy({ tokenIds: prompt(6, 200), stop: { maxTokens: 400 } }),
				AbortSignal.abort(),
			);
			check(outputs.at(-1)?.finishReason === "cancelled", `ended with ${outputs.at(-1)?.finishReason}`);
			await becomesIdle(engine);
		},
	},
	{
		name: "frees everything when a consumer leaves early",
		async run({ engine }) {
			for await (const _ of engine.generate(
				greedy({ tokenIds: prompt(7), stop: { maxTokens: 400 } }),
				createRequestContext(),
			))
				break;
			await becomesIdle(engine);
		},
	},
	{
		name: "refuses bad requests with a typed error and harms no other",
		async run({ engine, info }) {
			const request = greedy({ tokenIds: prompt(8) });
			const expected = tokensOf(await collect(engine, request));
			const beside = collect(engine, request);
			const bad: [GenerateRequestInit, string][] = [
				[{ tokenIds: [] }, "INVALID_ARGUMENT"],
				[{ tokenIds: [info.vocabSize] }, "INVALID_ARGUMENT"],
				[{ tokenIds: [3], sampling: { topP: 0 } }, "INVALID_ARGUMENT"],
				[{ tokenIds: [3], stop: { maxTokens: 0 } }, "INVALID_ARGUMENT"],
				[{ tokenIds: prompt(1, info.contextLength) }, "CONTEXT_LENGTH_EXCEEDED"],
			];
			for (const [init, code] of bad) {
				const error = await rejection(collect(engine, createGenerateRequest(init)));
				check(
					DynError.is(error) && error.code === code,
					`${JSON.stringify(init).slice(0, 80)} gave ${error}`,
				);
			}
			check(String(tokensOf(await beside)) === String(expected), "another request's answer changed");
			await becomesIdle(engine);
		},
	},
	{
		name: "numbers KV events without gaps, and they replay",
		async run({ engine, info }) {
			if (!info.capabilities.kvEvents) return;
			const events: KvEvent[] = [];
			const held = new Set<bigint>();
			const iterator = engine.kvEvents()[Symbol.asyncIterator]();
			const reading = (async () => {
				for (let next = await iterator.next(); !next.done; next = await iterator.next())
					events.push(next.value);
			})();
			reading.catch(() => {}); // judged by what it read
			await collect(engine, greedy({ tokenIds: prompt(99, info.kvBlockSize * 2 + 3) }));
			// From another process they come by a way of their own: soon, but not with the last token.
			const began = performance.now();
			do await new Promise((resolve) => setTimeout(resolve, 5));
			while (events.length === 0 && performance.now() - began < CANCEL_MS);
			void iterator.return?.(); // a generator that waits for an event returns only after it
			check(events.length > 0, "no event for two new blocks");
			for (const [i, { eventId, data }] of events.entries()) {
				check(
					i === 0 || eventId === events[i - 1]!.eventId + 1,
					`event ${eventId} follows ${events[i - 1]?.eventId}`,
				);
				if (data.type === "stored") {
					check(
						data.parentHash === null || held.has(data.parentHash) || i === 0,
						"a block's parent was never stored",
					);
					for (const { blockHash } of data.blocks) held.add(blockHash);
				}
			}
		},
	},
	{
		name: "drains: refuses new requests, finishes running ones",
		ends: true,
		async run({ engine }) {
			const running = collect(engine, greedy({ tokenIds: prompt(30) }));
			await Promise.resolve();
			await new Promise((resolve) => setImmediate(resolve));
			const drained = engine.drain();
			const error = await rejection(collect(engine, greedy({ tokenIds: prompt(31) })));
			check(DynError.is(error, "DRAINING"), `a new request got ${error}`);
			checkEnds(await running, 1);
			await drained;
		},
	},
	{
		name: "closes with running requests, twice",
		ends: true,
		async run({ engine }) {
			const running = collect(engine, greedy({ tokenIds: prompt(32), stop: { maxTokens: 400 } }));
			await new Promise((resolve) => setImmediate(resolve));
			await Promise.all([engine.close(), engine.close()]);
			check(
				(await running).at(-1)?.finishReason === "cancelled",
				"a running request did not end with cancelled",
			);
			check(
				(await rejection(collect(engine, greedy({ tokenIds: prompt(33) })))) !== null,
				"a closed engine takes requests",
			);
		},
	},
];
