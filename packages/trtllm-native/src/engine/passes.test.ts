// SPDX-License-Identifier: Apache-2.0
// However many passes a step has, requests hear what they would of single ones, and nobody waits for the rest of them.
import { createRequestContext } from "@dyn/common";
import type { EngineOutput } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import {
	begin,
	collect,
	greedy,
	heard,
	idle,
	publishedBlocks,
	text,
	tokens,
	tokensOf,
} from "./__fixtures__/ask.js";
import { type PaperBackend, paperEngine } from "./__fixtures__/paper-backend.js";
import type { EmbeddedEngineOptions, IterationStats } from "./options.js";

async function engines(options: Partial<EmbeddedEngineOptions> = {}) {
	const { engine, backend } = await paperEngine(options);
	backend.runPasses();
	return { engine, backend, plain: (await paperEngine(options)).engine };
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

describe("several passes", () => {
	it("answer the same in fewer steps, the first token by itself", async () => {
		const iterations: IterationStats[] = [];
		const { engine, backend } = await engines({ onIteration: (stats) => iterations.push(stats) });
		const { engine: plain } = await paperEngine();
		const asked = greedy({ tokenIds: text(5, 40), stop: { maxTokens: 60 }, output: { logprobs: 2 } });
		const outputs = await collect(engine, asked);
		expect(heard(outputs)).toEqual(heard(await collect(plain, asked)));
		expect(backend.steps).toHaveLength(1 + 3);
		expect(outputs[0]!.tokenIds).toHaveLength(1);
		expect(iterations.slice(0, 4).map(({ rows, generatedTokens }) => [rows, generatedTokens])).toEqual([
			[40, 1],
			[25, 25], // a millisecond each, on paper
			[25, 25],
			[9, 9],
		]);
		// A prompt that is cached but for one token.
		const again = greedy({ ...asked, tokenIds: text(5, 33) });
		expect((await collect(engine, again))[0]!.tokenIds).toHaveLength(1);
		expect(iterations[4]).toMatchObject({ promptRows: 1, rows: 1 });
	});

	it("end where the answer ends: length, end of sequence, stop token, least length", async () => {
		const { engine, backend, plain } = await engines();
		const tokenIds = text(5, 40);
		const known = await tokens((await paperEngine()).engine, greedy({ tokenIds, stop: { maxTokens: 40 } }));
		for (let length = 1; length < 30; length++) {
			const asked = [
				{ maxTokens: length },
				{ maxTokens: 100, stopTokenIds: [known[length]!] },
				{ maxTokens: 100, visibleStopTokenIds: [known[length]!] },
				{ maxTokens: 100, stopTokenIds: known.slice(length, length + 6), minTokens: length + 3 },
			].map((stop) => greedy({ tokenIds, stop }));
			for (const each of asked)
				expect(heard(await collect(engine, each))).toEqual(heard(await collect(plain, each)));
		}
		expect(backend.openSlots).toBe(0);
	});

	it("change nothing for company, seeds, choices or a pool that is too small for all", async () => {
		const { engine, backend, plain } = await engines({ numKvBlocks: 14, maxNumSeqs: 6 });
		const requests = Array.from({ length: 8 }, (_, i) =>
			greedy({
				tokenIds: text(10 + i, 20 + 7 * i),
				sampling: i % 2 === 0 ? { temperature: 0 } : { temperature: 1, seed: i, n: 2 },
				stop: { maxTokens: 50 + i },
			}),
		);
		const expected = await Promise.all(requests.map((each) => collect(plain, each).then(heard)));
		expect(await Promise.all(requests.map((each) => collect(engine, each).then(heard)))).toEqual(expected);
		for (const [i, each] of requests.entries())
			expect(heard(await collect(engine, each)).tokens).toEqual(expected[i]!.tokens);
		expect(backend.openSlots).toBe(0);
		expect(engine.load()[0]).toMatchObject(idle);
	});

	it("publish the same blocks", async () => {
		const { engine, plain } = await engines();
		const asked = greedy({ tokenIds: text(5, 40), stop: { maxTokens: 100 } });
		const together = await publishedBlocks(engine, asked);
		const expected = await publishedBlocks(plain, asked);
		expect(expected.length).toBeGreaterThan(3);
		expect(together).toEqual(expected);
	});

	/** Two answers, and a step with both that is held in its first pass of many. */
	async function held(stop?: AbortSignal) {
		const { engine, backend } = await engines();
		const asked = (seed: number) => greedy({ tokenIds: text(seed, 10), stop: { maxTokens: 100 } });
		const answers = await Promise.all([begin(engine, asked(1), stop), begin(engine, asked(2))]);
		const release = backend.hold();
		await backend.held();
		return { engine, backend, release, answers };
	}
	/** Of the step behind the one that was held: where each share begins. It goes on after 10 tokens of prompt, the first token and one more. */
	const positions = (backend: PaperBackend, held: number) =>
		backend.steps[held]!.map(({ position }) => position);

	it("end with the pass that runs when a request comes", async () => {
		const { engine, backend, release, answers } = await held();
		const third = begin(engine, greedy({ tokenIds: text(3, 10), stop: { maxTokens: 100 } }));
		await tick();
		const before = backend.steps.length;
		release();
		await third;
		expect(positions(backend, before)).toEqual([11, 11, 0]);
		for (const { done } of answers) expect(tokensOf(await done)).toHaveLength(100);
		await (await third).done;
	});

	it("end with the pass that runs when one of the requests is cancelled", async () => {
		const stop = new AbortController();
		const { engine, backend, release, answers } = await held(stop.signal);
		stop.abort();
		await tick();
		const before = backend.steps.length;
		release();
		const outputs = await answers[0]!.done;
		expect(outputs.at(-1)!.finishReason).toBe("cancelled");
		expect(tokensOf(await answers[1]!.done)).toHaveLength(100);
		expect(positions(backend, before)).toEqual([11]);
		expect(engine.load()[0]).toMatchObject(idle);
		expect([backend.openSlots, backend.cancelledSteps]).toEqual([0, 0]);
	});

	it("are not for answers that JavaScript looks at, nor for those beside them", async () => {
		const logitsProcessors = { same: () => ({ process: () => {} }) };
		const { engine, backend } = await engines({ logitsProcessors });
		const asked = { tokenIds: text(5, 40), stop: { maxTokens: 30 } };
		const processed = greedy({ ...asked, logitsProcessors: [{ name: "same", args: null }] });
		const [first, second] = await Promise.all([tokens(engine, processed), tokens(engine, greedy(asked))]);
		expect(second).toEqual(first);
		expect(backend.steps).toHaveLength(30);
	});

	it("are not for answers that somebody waits for", async () => {
		const { engine, backend, plain } = await engines({ maxNumSeqs: 1 });
		const asked = greedy({ tokenIds: text(5, 40), stop: { maxTokens: 30 } });
		const [first, second] = await Promise.all([tokens(engine, asked), tokens(engine, asked)]);
		expect([first, second]).toEqual([await tokens(plain, asked), first]);
		expect(backend.steps).toHaveLength(30 + 3); // a step for each token of the first answer, whose slot the second one waits for
	});

	it("free everything when the caller leaves in the middle", async () => {
		const { engine, backend, plain } = await engines();
		const asked = greedy({ tokenIds: text(5, 40), stop: { maxTokens: 200 } });
		const abort = new AbortController();
		let count = 0;
		const outputs: EngineOutput[] = [];
		for await (const output of engine.generate(asked, createRequestContext({ signal: abort.signal }))) {
			outputs.push(output);
			count += output.tokenIds.length;
			if (count > 10) abort.abort();
		}
		expect(outputs.at(-1)).toMatchObject({ finishReason: "cancelled", usage: { completionTokens: count } });
		expect(tokensOf(outputs)).toEqual((await tokens(plain, asked)).slice(0, count));
		expect([backend.openSlots, engine.load()[0]!.activeKvBlocks]).toEqual([0, 0]);
	});
});
