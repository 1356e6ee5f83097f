// SPDX-License-Identifier: Apache-2.0
// Whatever is guessed, requests hear what they would without guesses.
import { createRequestContext, type Metrics, noMetrics } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import type { Sequence } from "../scheduler/sequence.js";
import type { Drafter, GuessRequest } from "../speculation/drafter.js";
import { collect, greedy, heard, publishedBlocks, text, tokens } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";
import type { EmbeddedEngineOptions, IterationStats } from "./options.js";

/** Knows the answers to prompts by their first token, and errs at every `errsAt`-th token of an answer. */
class Oracle implements Drafter {
	readonly isFree = true;
	readonly answers = new Map<number, readonly number[]>();
	forgotten = 0;
	closed = false;
	readonly #errsAt: number;

	constructor(errsAt: number) {
		this.#errsAt = errsAt;
	}

	doubts(_: Sequence, limit: number): number[] {
		return new Array<number>(limit).fill(0.3);
	}

	guessMs(): number {
		return 0;
	}

	propose(requests: readonly GuessRequest[]): Uint32Array[] {
		return requests.map(({ sequence, limit }) => {
			const answer = this.answers.get(sequence.tokens.view(0, 1)[0]!)!;
			const from = sequence.generated;
			return Uint32Array.from(answer.slice(from, from + limit), (id, i) =>
				(from + i + 1) % this.#errsAt === 0 ? (id + 1) % 1000 : id,
			);
		});
	}

	forget(): void {
		this.forgotten++;
	}

	async close(): Promise<void> {
		this.closed = true;
	}
}

async function guessingEngine(oracle: Oracle, options: Partial<EmbeddedEngineOptions> = {}) {
	const paper = await paperEngine(options, { drafter: oracle, maxGuesses: 8, maxRows: 64 });
	const plain = await paperEngine(options);
	return { ...paper, plain: plain.engine, plainBackend: plain.backend };
}

/** Metrics that remember the last value of each series. */
function recorded() {
	const values = new Map<string, number>();
	const collectors: (() => void)[] = [];
	const metrics: Metrics = {
		...noMetrics,
		counter: ({ name }) => ({ inc: (_, by = 1) => values.set(name, (values.get(name) ?? 0) + by) }),
		gauge: ({ name }) => ({
			...noMetrics.gauge({ name, help: "" }),
			set: (value) => values.set(name, value),
		}),
		onCollect: (callback) => collectors.push(callback),
		async expose() {
			for (const collect of collectors) collect();
			return "";
		},
	};
	return { metrics, values };
}

/** Tells the oracle what an engine says past every end. */
async function teach(oracle: Oracle, ...requests: readonly GenerateRequest[]): Promise<void> {
	const { engine: plain } = await paperEngine();
	for (const request of requests) {
		const endless = {
			...request,
			stop: { ...request.stop, maxTokens: 120, minTokens: 0, ignoreEos: true, stopTokenIds: [] },
		};
		oracle.answers.set(request.tokenIds[0]!, await tokens(plain, endless));
	}
}

describe.each([
	["all right", 1000],
	["some wrong", 4],
	["all wrong", 1],
])("with guesses that are %s", (_, errsAt) => {
	const prompt = text(5, 40);
	const request = (init: Partial<Parameters<typeof greedy>[0]> = {}) => greedy({ tokenIds: prompt, ...init });

	it("answers the same, in fewer steps if guesses are right", async () => {
		const oracle = new Oracle(errsAt);
		const { engine, backend, plain } = await guessingEngine(oracle);
		const asked = request({ stop: { maxTokens: 60, ignoreEos: true }, output: { logprobs: 2 } });
		await teach(oracle, asked);
		const expected = heard(await collect(plain, asked));
		expect(heard(await collect(engine, asked))).toEqual(expected);
		expect(expected.tokens).toHaveLength(60);
		if (errsAt === 1) expect(backend.steps).toHaveLength(60);
		else expect(backend.steps.length).toBeLessThan(30);
		expect(oracle.forgotten).toBe(1);
		await engine.close();
		expect(oracle.closed).toBe(true);
	});

	it("answers the same where steps may have several passes, each token heard by itself while guesses are judged", async () => {
		const oracle = new Oracle(errsAt);
		const { engine, backend, plain } = await guessingEngine(oracle);
		backend.runPasses();
		const asked = request({ stop: { maxTokens: 60, ignoreEos: true } });
		await teach(oracle, asked);
		expect(heard(await collect(engine, asked))).toEqual(heard(await collect(plain, asked)));
		if (errsAt === 1) expect(backend.steps).toHaveLength(60);
	});

	it("ends where the answer ends: length, end of sequence, stop token, least length", async () => {
		const oracle = new Oracle(errsAt);
		const { engine, plain, backend } = await guessingEngine(oracle);
		await teach(oracle, request());
		const known = oracle.answers.get(prompt[0]!)!;
		for (let length = 1; length < 20; length++) {
			const stop = { maxTokens: 100, ignoreEos: true };
			const asked = [
				request({ stop: { ...stop, maxTokens: length } }),
				request({ stop: { ...stop, stopTokenIds: [known[length]!] } }),
				request({ stop: { ...stop, visibleStopTokenIds: [known[length]!] } }),
				request({ stop: { ...stop, stopTokenIds: known.slice(length, length + 6), minTokens: length + 3 } }),
			];
			for (const each of asked)
				expect(heard(await collect(engine, each))).toEqual(heard(await collect(plain, each)));
		}
		expect(backend.openSlots).toBe(0);
	});

	it("does not change for company, seeds, choices or a pool that is too small for all", async () => {
		const oracle = new Oracle(errsAt);
		const { engine, plain, backend } = await guessingEngine(oracle, { numKvBlocks: 14, maxNumSeqs: 6 });
		const requests = Array.from({ length: 8 }, (_, i) =>
			greedy({
				tokenIds: text(10 + i, 20 + 7 * i),
				sampling: i % 2 === 0 ? { temperature: 0 } : { temperature: 1, seed: i, n: 2 },
				stop: { maxTokens: 50, ignoreEos: true },
			}),
		);
		await teach(oracle, ...requests);
		const expected = await Promise.all(requests.map((each) => collect(plain, each).then(heard)));
		expect(await Promise.all(requests.map((each) => collect(engine, each).then(heard)))).toEqual(expected);
		expect(backend.openSlots).toBe(0);
		expect(engine.load()[0]!.activeKvBlocks).toBe(0);
	});

	it("publishes the same blocks", async () => {
		const oracle = new Oracle(errsAt);
		const { engine, plain } = await guessingEngine(oracle);
		const asked = request({ stop: { maxTokens: 60, ignoreEos: true } });
		await teach(oracle, asked);
		const guessed = await publishedBlocks(engine, asked);
		const expected = await publishedBlocks(plain, asked);
		expect(expected.length).toBeGreaterThan(1);
		expect(guessed).toEqual(expected);
	});

	it("frees everything when the caller leaves in the middle", async () => {
		const oracle = new Oracle(errsAt);
		const { engine, backend } = await guessingEngine(oracle);
		const asked = request({ stop: { maxTokens: 100, ignoreEos: true } });
		await teach(oracle, asked);
		const abort = new AbortController();
		let count = 0;
		const outputs: EngineOutput[] = [];
		for await (const output of engine.generate(asked, createRequestContext({ signal: abort.signal }))) {
			outputs.push(output);
			count += output.tokenIds.length;
			if (count > 10) abort.abort();
		}
		expect(outputs.at(-1)!.finishReason).toBe("cancelled");
		expect(outputs.flatMap(({ tokenIds }) => tokenIds)).toEqual(
			oracle.answers.get(prompt[0]!)!.slice(0, count),
		);
		expect(outputs.at(-1)!.usage!.completionTokens).toBe(count);
		expect([backend.openSlots, engine.load()[0]!.activeKvBlocks]).toEqual([0, 0]);
	});
});

describe("guesses", () => {
	it("are not made for rows that a logits processor edits", async () => {
		const oracle = new Oracle(1000);
		const logitsProcessors = { nothing: () => ({ process() {} }) };
		const { engine, backend, plain } = await guessingEngine(oracle, { logitsProcessors });
		const free = greedy({ tokenIds: text(1, 20), stop: { maxTokens: 40, ignoreEos: true } });
		const processed = {
			...greedy({ tokenIds: text(2, 20), stop: { maxTokens: 40, ignoreEos: true } }),
			logitsProcessors: [{ name: "nothing", args: null }],
		};
		await teach(oracle, free, { ...processed, logitsProcessors: [] });
		const expected = [await tokens(plain, free), await tokens(plain, processed)];
		expect(await Promise.all([tokens(engine, free), tokens(engine, processed)])).toEqual(expected);
		const shares = backend.steps.flat();
		expect(shares.some(({ drafts = 0 }) => drafts > 0)).toBe(true);
		expect(shares.filter(({ output, drafts = 0 }) => output === "logits" && drafts > 0)).toEqual([]);
	});

	it("are counted, with what came of them", async () => {
		const oracle = new Oracle(5);
		const { metrics, values } = recorded();
		const stats: IterationStats[] = [];
		const onIteration = (each: IterationStats) => stats.push(each);
		const { engine } = await guessingEngine(oracle, { metrics, onIteration });
		const asked = greedy({ tokenIds: text(1, 20), stop: { maxTokens: 60, ignoreEos: true } });
		await teach(oracle, asked);
		await tokens(engine, asked);
		const { draftTokens, acceptedDraftTokens } = stats.at(-1)!;
		expect(acceptedDraftTokens).toBe(60 - stats.length);
		expect(draftTokens).toBeGreaterThan(acceptedDraftTokens);
		await metrics.expose();
		expect(values.get("trtllm_spec_decode_drafted_tokens_total")).toBe(draftTokens);
		expect(values.get("trtllm_spec_decode_accepted_tokens_total")).toBe(acceptedDraftTokens);
		expect(values.get("trtllm_spec_decode_acceptance_length")).toBeGreaterThan(2);
	});
});
