// SPDX-License-Identifier: Apache-2.0
import type { KvEvent } from "@dyn/protocols";
import { afterEach, describe, expect, it, vi } from "vitest";
import { codeOf, collect, greedy, idle, text, tokens } from "./__fixtures__/ask.js";
import { PaperBackend, paperEngine } from "./__fixtures__/paper-backend.js";
import { embeddedEngine } from "./embedded-engine.js";
import { STALL_MS } from "./engine-core.js";

afterEach(() => {
	vi.useRealTimers();
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
