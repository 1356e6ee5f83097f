// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { LogitsProcessor } from "@dyn/logits";
import type { EngineOutput, GenerateRequestInit, KvEvent } from "@dyn/protocols";
import { afterEach, describe, expect, it, vi } from "vitest";
import { codeOf, collect, greedy, text, tokens, tokensOf } from "./__fixtures__/ask.js";
import { PaperBackend, paperEngine } from "./__fixtures__/paper-backend.js";
import { embeddedEngine } from "./embedded-engine.js";
import { STALL_MS } from "./engine-core.js";
import type { IterationStats } from "./options.js";

const idle = { runningSequences: 0, waitingSequences: 0, activeKvBlocks: 0 };
const seeded = (seed: number) => {
	let state = seed;
	return (limit: number) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return (state >>> 8) % limit;
	};
};

/** Asks, and resolves when the request's first output is there; the rest is in `done`. */
async function begin(
	engine: Engine,
	request: Parameters<typeof collect>[1],
	signal = new AbortController().signal,
) {
	const iterator = engine.generate(request, createRequestContext({ signal }))[Symbol.asyncIterator]();
	const first = await iterator.next();
	const done = (async () => {
		const outputs = [first.value!];
		for (let next = await iterator.next(); !next.done; next = await iterator.next()) outputs.push(next.value);
		return outputs;
	})();
	return { iterator, done };
}

afterEach(() => {
	vi.useRealTimers();
});

describe("steps", () => {
	it("answers the same in steps of any size, alone or in company", async () => {
		const requests = Array.from({ length: 16 }, (_, i) => greedy({ tokenIds: text(i, 10 + 13 * i) }));
		const alone: number[][] = [];
		for (const request of requests) alone.push(await tokens((await paperEngine()).engine, request));
		for (const maxNumBatchedTokens of [1, 7, 32]) {
			const { engine } = await paperEngine({
				maxNumBatchedTokens,
				maxNumSeqs: Math.min(16, maxNumBatchedTokens),
			});
			expect(await Promise.all(requests.map((request) => tokens(engine, request)))).toEqual(alone);
			expect(engine.load()[0]).toMatchObject(idle);
		}
	});

	it("answers the same after preemption", async () => {
		const requests = Array.from({ length: 8 }, (_, i) =>
			greedy({ tokenIds: text(i, 40 + i), stop: { maxTokens: 100 } }),
		);
		const alone: number[][] = [];
		for (const request of requests) alone.push(await tokens((await paperEngine()).engine, request));
		let preemptions = 0;
		const { engine } = await paperEngine({
			numKvBlocks: 12,
			onIteration: (stats) => {
				preemptions = stats.preemptions;
			},
		});
		expect(await Promise.all(requests.map((request) => tokens(engine, request)))).toEqual(alone);
		expect(preemptions).toBeGreaterThan(3);
		expect(engine.load()[0]).toMatchObject(idle);
	});

	it.each<[string, Pick<GenerateRequestInit, "sampling" | "stop">]>([
		["drawn from a seed", { sampling: { temperature: 1, seed: 5 } }],
		["to its end, which may not come early", { stop: { minTokens: 20 } }],
	])("goes on with an answer that another engine began, %s", async (_, how) => {
		const tokenIds = text(1, 40);
		const endless = await tokens((await paperEngine()).engine, greedy({ tokenIds, stop: { maxTokens: 30 } }));
		const stopTokenIds = [endless[22]!];
		const request = greedy({ tokenIds, ...how, stop: { maxTokens: 30, stopTokenIds, ...how.stop } });
		const whole = await tokens((await paperEngine()).engine, request);
		expect(whole.length).toBe(how.stop ? 22 : 30);
		for (const seam of [1, 7, 19]) {
			const rest = greedy({
				...how,
				tokenIds: [...tokenIds, ...whole.slice(0, seam)],
				resumedTokens: seam,
				stop: {
					...request.stop,
					maxTokens: 30 - seam,
					minTokens: Math.max(0, (request.stop.minTokens ?? 0) - seam),
				},
			});
			expect(await tokens((await paperEngine()).engine, rest)).toEqual(whole.slice(seam));
		}
	});

	it("reuses a prefix, says so, and answers the same; another salt shares nothing", async () => {
		const request = greedy({ tokenIds: text(1, 100) });
		const { engine } = await paperEngine();
		const cold = await collect(engine, request);
		const warm = await collect(engine, request);
		expect(tokensOf(warm)).toEqual(tokensOf(cold));
		expect([cold.at(-1)!.usage!.cachedTokens, warm.at(-1)!.usage!.cachedTokens]).toEqual([0, 96]);
		const salted = greedy({ tokenIds: text(1, 100), routing: { cacheSalt: "tenant" } });
		expect((await collect(engine, salted)).at(-1)!.usage!.cachedTokens).toBe(0);
		expect((await collect(engine, salted)).at(-1)!.usage!.cachedTokens).toBe(96);
	});

	it("computes a prompt once for all choices, each with a seed of its own", async () => {
		const { engine, backend } = await paperEngine();
		const outputs = await collect(
			engine,
			greedy({ tokenIds: text(1, 70), sampling: { n: 4, temperature: 1, seed: 9 } }),
		);
		const rows = backend.steps.flat().reduce((sum, share) => sum + share.tokens.length, 0);
		expect(rows).toBe(70 + 3 * 6 + 4 * 15); // three followers compute what is in no full block
		const choices = [0, 1, 2, 3].map((index) => tokensOf(outputs, index));
		expect(new Set(choices.map(String)).size).toBe(4);
		const second = greedy({ tokenIds: text(1, 70), sampling: { temperature: 1, seed: 10 } });
		expect(await tokens(engine, second)).toEqual(choices[1]);
	});

	it("starts what arrives together in one step", async () => {
		const { engine, backend } = await paperEngine();
		await Promise.all([1, 2, 3].map((seed) => tokens(engine, greedy({ tokenIds: text(seed, 10) }))));
		expect(backend.steps[0]).toHaveLength(3);
	});

	it("serves the higher priority first", async () => {
		const { engine, backend } = await paperEngine({ maxNumSeqs: 1 });
		const release = backend.hold();
		const order: string[] = [];
		const ask = async (name: string, seed: number, priority: number) => {
			await tokens(
				engine,
				greedy({ tokenIds: text(seed, 10), stop: { maxTokens: 3 }, routing: { priority } }),
			);
			order.push(name);
		};
		const started = backend.held();
		const first = ask("first", 1, 0);
		await started;
		const others = [ask("low", 2, 0), ask("high", 3, 5), ask("lower", 4, -1)];
		release();
		await Promise.all([first, ...others]);
		expect(order).toEqual(["first", "high", "low", "lower"]);
	});

	it("reports every step, and survives a report that throws", async () => {
		const stats: IterationStats[] = [];
		const { engine } = await paperEngine({
			maxNumBatchedTokens: 64,
			onIteration: (each) => {
				stats.push(each);
				throw new Error("not my fault");
			},
		});
		await tokens(engine, greedy({ tokenIds: text(1, 100), stop: { maxTokens: 2 } }));
		expect(
			stats.map(({ iteration, rows, promptRows, generatedTokens }) => [
				iteration,
				rows,
				promptRows,
				generatedTokens,
			]),
		).toEqual([
			[1, 64, 64, 0],
			[2, 36, 36, 1],
			[3, 1, 0, 1],
		]);
		expect(stats[1]).toMatchObject({
			promptTokens: 100,
			cachedTokens: 0,
			preemptions: 0,
			draftTokens: 0,
			acceptedDraftTokens: 0,
			runningSequences: 1,
		});
		expect(engine.health()).toEqual({ status: "healthy" });
	});
});

describe("stopping", () => {
	it("cancels a running request at the end of its step and frees its blocks then, not before", async () => {
		const { engine, backend } = await paperEngine();
		const stop = new AbortController();
		const other = begin(engine, greedy({ tokenIds: text(2, 10), stop: { maxTokens: 50 } }));
		const { done } = await begin(
			engine,
			greedy({ tokenIds: text(1, 100), stop: { maxTokens: 300 } }),
			stop.signal,
		);
		const release = backend.hold();
		await backend.held();
		const held = engine.load()[0]!.activeKvBlocks;
		stop.abort();
		await new Promise((resolve) => setImmediate(resolve));
		expect(engine.load()[0]!.activeKvBlocks).toBe(held);
		release();
		const outputs = await done;
		expect(outputs.at(-1)).toMatchObject({ finishReason: "cancelled", tokenIds: [] });
		expect(outputs.at(-1)!.usage!.completionTokens).toBe(tokensOf(outputs).length);
		expect(tokensOf(await (await other).done)).toHaveLength(50);
		expect(engine.load()[0]).toMatchObject(idle);
		expect(backend.openSlots).toBe(0);
	});

	it("interrupts a step that only cancelled requests need, and keeps the work of the others", async () => {
		const { engine, backend } = await paperEngine();
		const expected = await tokens(engine, greedy({ tokenIds: text(2, 40) }));
		const small = begin(engine, greedy({ tokenIds: text(2, 40) }));
		const release = backend.hold();
		const stop = new AbortController();
		const large = collect(engine, greedy({ tokenIds: text(1, 300) }), { signal: stop.signal });
		// The step with the small request alone may run already; the next one has both.
		await backend.held();
		if (backend.steps.at(-1)!.reduce((sum, { tokens: { length } }) => sum + length, 0) < 100) {
			release();
			backend.hold();
			await backend.held();
		}
		stop.abort();
		expect((await large).map(({ finishReason }) => finishReason)).toEqual(["cancelled"]);
		expect(backend.cancelledSteps).toBe(1);
		backend.hold()();
		expect(tokensOf(await (await small).done)).toEqual(expected);
	});

	it("drops a waiting request at once, while the step goes on", async () => {
		const { engine, backend } = await paperEngine({ maxNumSeqs: 1 });
		const running = begin(engine, greedy({ tokenIds: text(1, 10) }));
		await running;
		const release = backend.hold();
		const stop = new AbortController();
		const waiting = collect(engine, greedy({ tokenIds: text(2, 10) }), { signal: stop.signal });
		await backend.held();
		expect(engine.load()[0]).toMatchObject({ runningSequences: 1, waitingSequences: 1 });
		stop.abort();
		expect((await waiting).at(-1)!.finishReason).toBe("cancelled");
		expect(engine.load()[0]).toMatchObject({ runningSequences: 1, waitingSequences: 0 });
		release();
		await (await running).done;
	});

	it("computes nothing for a request that was cancelled before it came", async () => {
		const { engine, backend } = await paperEngine();
		const outputs = await collect(engine, greedy({ tokenIds: text(1, 10) }), { signal: AbortSignal.abort() });
		expect(outputs.map(({ finishReason }) => finishReason)).toEqual(["cancelled"]);
		expect(backend.steps).toHaveLength(0);
	});

	it("notices a consumer that leaves while it waits for a token", async () => {
		const { engine, backend } = await paperEngine();
		backend.hold();
		const iterator = engine
			.generate(greedy({ tokenIds: text(1, 10) }), createRequestContext())
			[Symbol.asyncIterator]();
		const next = iterator.next();
		await backend.held();
		await iterator.return!();
		expect(await next).toEqual({ value: undefined, done: true });
		await engine.drain();
		expect(engine.load()[0]).toMatchObject(idle);
		expect(backend.cancelledSteps).toBe(1);
	});

	it("ends a request at its deadline with an error, in the queue as in a step", async () => {
		const { engine, backend } = await paperEngine({ maxNumSeqs: 1 });
		backend.hold();
		const deadlineMs = performance.now() + 5;
		const codes = [1, 2].map((seed) =>
			codeOf(collect(engine, greedy({ tokenIds: text(seed, 10) }), { deadlineMs })),
		);
		expect(await Promise.all(codes)).toEqual(["DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED"]);
		await engine.drain();
		expect(engine.load()[0]).toMatchObject(idle);
	});

	it("is not upset by a deadline beyond what a timer can hold", async () => {
		const { engine } = await paperEngine();
		const outputs = await collect(engine, greedy({ tokenIds: text(1, 10) }), { deadlineMs: 1e12 });
		expect(outputs.at(-1)!.finishReason).toBe("length");
	});

	it("holds nothing after 200 clients, half of which leave at some point", async () => {
		const random = seeded(5);
		const { engine, backend } = await paperEngine({
			maxNumSeqs: 8,
			maxNumBatchedTokens: 64,
			numKvBlocks: 40,
		});
		const requests = Array.from({ length: 200 }, (_, i) =>
			greedy({
				tokenIds: text(i % 20, 5 + random(120)),
				stop: { maxTokens: 1 + random(60) },
				sampling: { n: 1 + random(3), temperature: 1, seed: i },
				routing: { priority: random(3) },
			}),
		);
		const full: string[] = [];
		const clients = requests.map(async (request, i) => {
			const stop = new AbortController();
			const leaveAfter = i % 2 === 0 ? random(30) : Number.POSITIVE_INFINITY;
			const outputs: EngineOutput[] = [];
			if (leaveAfter === 0) stop.abort();
			for await (const output of engine.generate(request, createRequestContext({ signal: stop.signal }))) {
				outputs.push(output);
				if (outputs.length < leaveAfter) continue;
				if (i % 4 === 0) break;
				stop.abort();
			}
			if (leaveAfter === Number.POSITIVE_INFINITY)
				full[i] = JSON.stringify([0, 1, 2].map((k) => tokensOf(outputs, k)));
		});
		await Promise.all(clients);
		await new Promise((resolve) => setImmediate(resolve));
		await engine.drain();
		expect(engine.load()[0]).toMatchObject(idle);
		expect(backend.openSlots).toBe(0);
		// And nobody got another's tokens.
		const quiet = await paperEngine();
		for (const i of [1, 51, 101, 199]) {
			const outputs = await collect(quiet.engine, requests[i]!);
			expect(full[i]).toBe(JSON.stringify([0, 1, 2].map((k) => tokensOf(outputs, k))));
		}
	});
});

describe("logits processors", () => {
	const only = (id: number): LogitsProcessor => ({
		process: (_, logits) => {
			logits.fill(-Infinity);
			logits[id] = 0;
		},
	});

	it("see prompt and output so far, one instance per choice, and decide the token", async () => {
		const seen: number[][] = [];
		let instances = 0;
		const { engine } = await paperEngine({
			logitsProcessors: {
				seven: () => {
					instances++;
					return {
						process: (inputIds, logits) => {
							seen.push([...inputIds]);
							only(7).process(inputIds, logits);
						},
					};
				},
			},
		});
		const request = { tokenIds: [4, 5], logitsProcessors: [{ name: "seven", args: null }] };
		const outputs = await collect(engine, greedy({ ...request, stop: { maxTokens: 3 }, sampling: { n: 2 } }));
		expect([tokensOf(outputs, 0), tokensOf(outputs, 1), instances]).toEqual([[7, 7, 7], [7, 7, 7], 2]);
		expect(new Set(seen.map(String))).toEqual(new Set(["4,5", "4,5,7", "4,5,7,7"]));
	});

	it("that throw fail their own request, whatever it shares a step with", async () => {
		let calls = 0;
		const { engine, backend } = await paperEngine({
			logitsProcessors: {
				fragile: () => ({
					process: () => {
						if (++calls > 2) throw new Error("broken pipe of thoughts");
					},
				}),
			},
		});
		const quiet = greedy({ tokenIds: text(2, 40), stop: { maxTokens: 40 } });
		const expected = await tokens(engine, quiet);
		const beside = begin(engine, quiet);
		// 63 tokens: both choices fill a block in the step in which the first one fails.
		const failing = collect(
			engine,
			greedy({
				tokenIds: text(3, 63),
				sampling: { n: 2 },
				logitsProcessors: [{ name: "fragile", args: null }],
			}),
		);
		await expect(failing).rejects.toMatchObject({
			code: "LOGITS_PROCESSOR_FAILED",
			message: expect.stringContaining("fragile"),
			details: { processor: "fragile" },
		});
		expect(tokensOf(await (await beside).done)).toEqual(expected);
		expect(engine.health()).toEqual({ status: "healthy" });
		expect(engine.load()[0]).toMatchObject(idle);
		expect(backend.openSlots).toBe(0);
	});

	it("that leave nonsense are named, and fail their own request in a step of processed rows", async () => {
		const set = (value: number) => () => ({
			process: (_: Uint32Array, logits: Float32Array) => void logits.fill(value, 3, 4),
		});
		const { engine, backend } = await paperEngine({
			logitsProcessors: {
				fine: set(0),
				nan: set(Number.NaN),
				infinite: set(Infinity),
				silent: () => ({ process: (_, logits) => void logits.fill(-Infinity) }),
			},
		});
		const asked = (...names: readonly string[]) =>
			greedy({
				tokenIds: [4, 5],
				logitsProcessors: names.map((name) => ({ name, args: null })),
				stop: { maxTokens: 8 },
			});
		const expected = await tokens(engine, asked("fine"));
		const failure = (...names: readonly string[]) =>
			collect(engine, asked(...names)).catch((error: unknown) => error);
		const [beside, ...failures] = await Promise.all([
			tokens(engine, asked("fine", "fine")),
			failure("fine", "nan"),
			failure("nan", "fine"),
			failure("infinite"),
			failure("silent", "infinite"),
		]);
		expect(failures.map((error) => DynError.from(error).code)).toEqual(
			failures.map(() => "LOGITS_PROCESSOR_FAILED"),
		);
		expect(failures.map((error) => DynError.from(error).rawMessage)).toEqual([
			'logits processor nan: it set the logit of token 3 to NaN; use numbers, or -Infinity for "never"',
			'logits processor nan: it set the logit of token 3 to NaN; use numbers, or -Infinity for "never"',
			'logits processor infinite: it set the logit of token 3 to Infinity; use numbers, or -Infinity for "never"',
			"logits processor silent: no token is left to choose: every logit is -Infinity",
		]);
		expect(beside).toEqual(expected);
		expect(engine.health()).toEqual({ status: "healthy" });
		expect(backend.openSlots).toBe(0);
	});

	it("that nobody registered are refused by name", async () => {
		const { engine } = await paperEngine();
		await expect(
			collect(engine, greedy({ tokenIds: [4], logitsProcessors: [{ name: "no-such", args: null }] })),
		).rejects.toMatchObject({ code: "INVALID_ARGUMENT", details: { param: "nvext.logits_processors[0]" } });
	});
});

describe("slow consumers", () => {
	it("find the deltas of a choice merged, and nothing is lost", async () => {
		const { engine } = await paperEngine();
		const request = greedy({
			tokenIds: text(1, 10),
			stop: { maxTokens: 50 },
			sampling: { n: 2 },
			output: { logprobs: 1 },
		});
		const iterator = engine.generate(request, createRequestContext())[Symbol.asyncIterator]();
		const first = await iterator.next();
		await engine.drain(); // everything has been generated
		const outputs = [first.value!];
		for (let next = await iterator.next(); !next.done; next = await iterator.next()) outputs.push(next.value);
		expect(outputs.length).toBeLessThanOrEqual(4);
		for (const index of [0, 1]) {
			const own = outputs.filter((output) => output.index === index);
			expect(tokensOf(own, index)).toHaveLength(50);
			expect(own.flatMap(({ logprobs }) => logprobs!).map(({ tokenId }) => tokenId)).toEqual(
				tokensOf(own, index),
			);
			expect(own.at(-1)).toMatchObject({ finishReason: "length", usage: { completionTokens: 50 } });
		}
	});
});

describe("requests that cannot be served", () => {
	it.each([
		[{ tokenIds: [] }, "prompt", "INVALID_ARGUMENT"],
		[{ tokenIds: [1000] }, "prompt", "INVALID_ARGUMENT"],
		[{ tokenIds: [1.5] }, "prompt", "INVALID_ARGUMENT"],
		[{ tokenIds: text(1, 512) }, "prompt", "CONTEXT_LENGTH_EXCEEDED"],
		[{ tokenIds: text(1, 500), stop: { maxTokens: 13 } }, "max_tokens", "CONTEXT_LENGTH_EXCEEDED"],
		[{ tokenIds: [4], stop: { maxTokens: 0 } }, "max_tokens", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], stop: { minTokens: -1 } }, "min_tokens", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], stop: { stopTokenIds: [-3] } }, "stop_token_ids", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], stop: { visibleStopTokenIds: [1.5] } }, "stop_token_ids", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], routing: { dpRank: 1 } }, "dp_rank", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], guided: { kind: "json_object" as const } }, "guided_json_object", "UNIMPLEMENTED"],
		[{ tokenIds: [4], sampling: { n: 129 } }, "n", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { temperature: 2.1 } }, "temperature", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { topP: 0 } }, "top_p", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { topK: -2 } }, "top_k", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { minP: Number.NaN } }, "min_p", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], resumedTokens: 2 }, "resumed_tokens", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { presencePenalty: 3 } }, "presence_penalty", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { frequencyPenalty: -3 } }, "frequency_penalty", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { repetitionPenalty: 0 } }, "repetition_penalty", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { seed: 0.5 } }, "seed", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { logitBias: new Map([[1000, 1]]) } }, "logit_bias", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], sampling: { logitBias: new Map([[1, 101]]) } }, "logit_bias", "INVALID_ARGUMENT"],
		[{ tokenIds: [4], output: { logprobs: 21 } }, "logprobs", "INVALID_ARGUMENT"],
	])("%j names %s", async (init, param, code) => {
		const { engine, backend } = await paperEngine();
		await expect(collect(engine, greedy(init))).rejects.toMatchObject({ code, details: { param } });
		expect(backend.steps).toHaveLength(0);
	});

	it("takes what just fits, to its last token", async () => {
		const { engine } = await paperEngine({ numKvBlocks: 4 });
		const outputs = await collect(engine, greedy({ tokenIds: text(1, 100), stop: { maxTokens: null } }));
		expect(tokensOf(outputs)).toHaveLength(28);
		expect(outputs.at(-1)!.finishReason).toBe("length");
		expect(await codeOf(collect(engine, greedy({ tokenIds: text(1, 128) })))).toBe("CONTEXT_LENGTH_EXCEEDED");
	});

	it("says done after the refusal", async () => {
		const { engine } = await paperEngine();
		const iterator = engine
			.generate(greedy({ tokenIds: [] }), createRequestContext())
			[Symbol.asyncIterator]();
		expect(await codeOf(iterator.next())).toBe("INVALID_ARGUMENT");
		expect(await iterator.next()).toEqual({ value: undefined, done: true });
	});
});

describe("a backend that fails", () => {
	it("ends every request with a retryable error, and later ones at once", async () => {
		const { engine, backend } = await paperEngine({ maxNumSeqs: 1 });
		const requests = [1, 2].map((seed) => collect(engine, greedy({ tokenIds: text(seed, 10) })));
		backend.failure = new Error("thread is gone");
		for (const request of requests)
			await expect(request).rejects.toMatchObject({ code: "UNAVAILABLE", retryable: true });
		expect(engine.health()).toMatchObject({
			status: "dead",
			reason: expect.stringContaining("thread is gone"),
		});
		expect(await codeOf(collect(engine, greedy({ tokenIds: [4] })))).toBe("UNAVAILABLE");
		expect(engine.load()[0]).toMatchObject(idle);
		await engine.drain();
		await engine.close();
		expect(backend.closed).toBe(true);
	});

	it("reads as stalled when a step does not end", async () => {
		vi.useFakeTimers({ toFake: ["performance"] });
		const { engine, backend } = await paperEngine();
		const release = backend.hold();
		const answer = collect(engine, greedy({ tokenIds: text(1, 10) }));
		await backend.held();
		vi.advanceTimersByTime(STALL_MS);
		expect(engine.health()).toEqual({ status: "healthy" });
		vi.advanceTimersByTime(1);
		expect(engine.health()).toEqual({ status: "stalled", sinceMs: STALL_MS + 1 });
		release();
		await answer;
		vi.advanceTimersByTime(STALL_MS * 10);
		expect(engine.health()).toEqual({ status: "healthy" }); // idle is not stalled
	});
});

describe("life", () => {
	it("starts once, and closes once for everybody who asks", async () => {
		const { engine, backend } = await paperEngine();
		expect(await codeOf(engine.start())).toBe("INTERNAL");
		backend.hold();
		const running = collect(engine, greedy({ tokenIds: text(1, 10) }));
		await backend.held();
		await Promise.all([engine.close(), engine.close()]);
		expect(backend.closed).toBe(true);
		expect((await running).at(-1)!.finishReason).toBe("cancelled");
		expect(engine.health()).toMatchObject({ status: "dead" });
		expect(await codeOf(collect(engine, greedy({ tokenIds: [4] })))).toBe("UNAVAILABLE");
	});

	it("frees a backend that is still loading when it is closed", async () => {
		const backend = new PaperBackend({
			maxNumSeqs: 1,
			maxNumBatchedTokens: 1,
			contextLength: 32,
			numKvBlocks: 1,
			threads: 1,
			dpRank: 0,
		});
		let finish: (model: never) => void = () => {};
		const engine = embeddedEngine({ modelPath: "x" }, () => new Promise((resolve) => (finish = resolve)));
		const starting = codeOf(engine.start());
		const closing = engine.close();
		finish({ backend, spec: {}, limits: {} } as never);
		expect(await starting).toBe("CANCELLED");
		await closing;
		expect(backend.closed).toBe(true);
	});

	it("refuses requests before its start", async () => {
		const engine = embeddedEngine({ modelPath: "x" }, () => Promise.reject(new Error("never")));
		expect(await codeOf(collect(engine, greedy({ tokenIds: [4] })))).toBe("UNAVAILABLE");
		expect(engine.load()[0]).toMatchObject({ ...idle, totalKvBlocks: 0 });
	});

	it("numbers KV events without gaps; they replay to what can be found, also under pressure", async () => {
		const { engine } = await paperEngine({ numKvBlocks: 16, dpRank: 3 });
		const events: KvEvent[] = [];
		const reading = (async () => {
			for await (const event of engine.kvEvents()) events.push(event);
		})();
		await Promise.all(
			Array.from({ length: 30 }, (_, i) =>
				tokens(engine, greedy({ tokenIds: text(i % 7, 60 + 9 * (i % 5)), stop: { maxTokens: 40 } })),
			),
		);
		const cached = engine.load()[0]!.cachedKvBlocks;
		await engine.close();
		await reading;
		const known = new Set<bigint>();
		for (const [i, { eventId, dpRank, data }] of events.entries()) {
			expect([eventId, dpRank]).toEqual([i, 3]);
			if (data.type === "removed") for (const hash of data.blockHashes) expect(known.delete(hash)).toBe(true);
			if (data.type !== "stored") continue;
			expect(data.parentHash === null || known.has(data.parentHash)).toBe(true);
			for (const { blockHash } of data.blocks) known.add(blockHash);
		}
		expect(known.size).toBe(cached);
		expect(events.some(({ data }) => data.type === "removed")).toBe(true);
	});
});
