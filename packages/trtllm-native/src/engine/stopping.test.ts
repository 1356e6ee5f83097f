// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { EngineOutput } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { begin, codeOf, collect, greedy, idle, text, tokens, tokensOf } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";

const seeded = (seed: number) => {
	let state = seed;
	return (limit: number) => {
		state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
		return (state >>> 8) % limit;
	};
};

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
