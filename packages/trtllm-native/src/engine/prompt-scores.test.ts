// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { EngineOutput } from "@dyn/protocols";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { buildNative } from "../native/__fixtures__/tiny-model.js";
import { codeOf, collect, greedy, text, tokensOf } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";
import { createEmbeddedEngine } from "./embedded-engine.js";
import type { EmbeddedEngineOptions, IterationStats } from "./options.js";

buildNative();
const files = checkpointFolder();
let modelPath: string;
beforeAll(async () => {
	modelPath = await files.saveHuggingFace(huggingFace("llama"));
});
afterAll(() => files.dispose());

async function start(options: Partial<EmbeddedEngineOptions>) {
	const engine = createEmbeddedEngine({ modelPath, numKvBlocks: 16, precision: "f32", ...options });
	await engine.start();
	return engine;
}
const scoresOf = (outputs: readonly EngineOutput[]) =>
	outputs.flatMap(({ promptLogprobs }) => (promptLogprobs ? [promptLogprobs] : []));
const prompt = text(3, 70, 40);
const asked = (init: Partial<Parameters<typeof greedy>[0]> = {}) =>
	greedy({ tokenIds: prompt, stop: { maxTokens: 4 }, output: { promptLogprobs: 2 }, ...init });

describe.each(["native", "reference"] as const)("log-probabilities of prompts (%s)", (backend) => {
	it("are those that generating the prompt would have had", async () => {
		const engine = await start({ backend });
		// An answer's own log-probabilities, and the same tokens as a prompt.
		const output = { logprobs: 2 };
		const answer = await collect(
			engine,
			asked({ tokenIds: prompt.slice(0, 10), stop: { maxTokens: 30, ignoreEos: true }, output }),
		);
		const generated = answer.flatMap(({ logprobs }) => logprobs!);
		const tokenIds = [...prompt.slice(0, 10), ...tokensOf(answer)];
		const [scores] = scoresOf(await collect(engine, asked({ tokenIds })));
		expect(scores).toHaveLength(40);
		expect(scores![0]).toBeNull();
		expect(scores!.slice(10)).toEqual(generated);
		await engine.close();
	});

	it("come once, with the first token of the first choice, whatever is cached, chunked or guessed", async () => {
		const engine = await start({ backend });
		const [expected] = scoresOf(await collect(engine, asked()));
		expect(expected).toHaveLength(70);
		for (const options of [{ maxNumBatchedTokens: 16 }, { speculativeMode: "off" }] as const) {
			const other = await start({ backend, ...options });
			expect(scoresOf(await collect(other, asked()))).toEqual([expected]);
			await other.close();
		}
		// The prompt is in the cache now.
		const again = await collect(engine, asked({ sampling: { n: 3 } }));
		expect(scoresOf(again)).toEqual([expected]);
		expect(again.find(({ promptLogprobs }) => promptLogprobs)).toBe(again.find(({ index }) => index === 0));
		const lengths = new Set(
			again.flatMap(({ usage, index }) => (usage && index > 0 ? [usage.cachedTokens] : [])),
		);
		expect(lengths).toEqual(new Set([64])); // the other choices share what the first computed
		const [single] = scoresOf(await collect(engine, asked({ tokenIds: [5] })));
		expect(single).toEqual([null]);
		await engine.close();
	});

	it("survive preemption", async () => {
		let preemptions = 0;
		const onIteration = (stats: IterationStats) => {
			preemptions = stats.preemptions;
		};
		const engine = await start({ backend, numKvBlocks: 6, maxNumBatchedTokens: 48, onIteration });
		const long = { maxTokens: 90, ignoreEos: true };
		const requests = [1, 2, 3].map((seed) => asked({ tokenIds: text(seed, 50, 40), stop: long }));
		const together = await Promise.all(requests.map((request) => collect(engine, request)));
		expect(preemptions).toBeGreaterThan(0);
		for (const [i, request] of requests.entries())
			expect(scoresOf(together[i]!)).toEqual(scoresOf(await collect(engine, request)));
		await engine.close();
	});
});

describe("prompt_logprobs", () => {
	it("is refused beyond 20, and by a backend that has none", async () => {
		const engine = await start({ backend: "reference" });
		expect(await codeOf(collect(engine, asked({ output: { promptLogprobs: 21 } })))).toBe("INVALID_ARGUMENT");
		await engine.close();
		const { engine: paper } = await paperEngine();
		expect(await codeOf(collect(paper, asked()))).toBe("UNIMPLEMENTED");
	});
});

describe("best_of", () => {
	const sampling = { temperature: 1, seed: 9 };
	const mean = ({ logprobs }: Pick<EngineOutput, "logprobs">) =>
		logprobs!.reduce((sum, { logprob }) => sum + logprob, 0) / logprobs!.length;

	it("answers the likeliest candidates, best first, whole", async () => {
		const engine = await start({ backend: "reference" });
		const request = (more: object, logprobs: number | null = 1) =>
			asked({
				sampling: { ...sampling, ...more },
				stop: { maxTokens: 6, ignoreEos: true },
				output: { logprobs },
			});
		const all = await collect(engine, request({ n: 5 }));
		const candidates = [0, 1, 2, 3, 4].map((index) => {
			const mine = all.filter((output) => output.index === index);
			return { tokenIds: tokensOf(all, index), logprobs: mine.flatMap(({ logprobs }) => logprobs!) };
		});
		const best = await collect(engine, request({ n: 2, bestOf: 5 }));
		expect(best.map(({ index, finishReason }) => [index, finishReason])).toEqual([
			[0, "length"],
			[1, "length"],
		]);
		const ranked = candidates.sort((a, b) => mean(b) - mean(a));
		expect(best.map(({ tokenIds, logprobs }) => ({ tokenIds, logprobs }))).toEqual(ranked.slice(0, 2));
		expect(ranked[0]!.tokenIds).not.toEqual(tokensOf(all, 0)); // the seed is one where ranking matters
		const without = await collect(engine, request({ n: 2, bestOf: 5 }, null));
		expect(without.map(({ tokenIds, logprobs }) => [tokenIds, logprobs])).toEqual(
			ranked.slice(0, 2).map(({ tokenIds }) => [tokenIds, null]),
		);
		await engine.close();
	});

	it("streams as usual when there is nothing to choose from, and refuses fewer candidates than answers", async () => {
		const { engine, backend } = await paperEngine();
		const request = (more: object) =>
			greedy({ tokenIds: text(1, 10), sampling: more, stop: { maxTokens: 3 } });
		expect((await collect(engine, request({ n: 2, bestOf: 2 }))).length).toBeGreaterThan(2);
		expect(await codeOf(collect(engine, request({ n: 3, bestOf: 2 })))).toBe("INVALID_ARGUMENT");
		expect(backend.openSlots).toBe(0);
	});

	it("tells every answer of a cancelled request so", async () => {
		const { engine, backend } = await paperEngine();
		const abort = new AbortController();
		const release = backend.hold();
		const request = greedy({ tokenIds: text(1, 10), sampling: { n: 2, bestOf: 3 }, stop: { maxTokens: 30 } });
		const outputs: EngineOutput[] = [];
		const reading = (async () => {
			for await (const output of engine.generate(request, createRequestContext({ signal: abort.signal })))
				outputs.push(output);
		})();
		await backend.held();
		abort.abort();
		release();
		await reading;
		expect(outputs.map(({ index, finishReason }) => [index, finishReason])).toEqual([
			[0, "cancelled"],
			[1, "cancelled"],
		]);
		expect(backend.openSlots).toBe(0);
	});
});
