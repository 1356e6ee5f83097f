// SPDX-License-Identifier: Apache-2.0
import type { Engine } from "@dyn/engine";
import type { GenerateRequestInit } from "@dyn/protocols";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { buildNative } from "../native/__fixtures__/tiny-model.js";
import { codeOf, greedy, text, tokens } from "./__fixtures__/ask.js";
import { createEmbeddedEngine } from "./embedded-engine.js";
import type { EmbeddedEngineOptions } from "./options.js";

buildNative();
const checkpoints = checkpointFolder();
let modelPath: string;
beforeAll(async () => {
	modelPath = await checkpoints.saveHuggingFace(huggingFace("qwen2"));
});
afterAll(() => checkpoints.dispose());

const prompt = text(3, 20, 40);
const ask = (badWords: readonly (readonly number[])[], init: Partial<GenerateRequestInit> = {}) =>
	greedy({ tokenIds: prompt, ...init, sampling: { badWords }, stop: { maxTokens: 40, ...init.stop } });

describe.each(["native", "reference"] as const)("bad words, %s", (backend) => {
	let engine: Engine;
	let guessing: Engine;
	let free: number[];
	/** The answer's last token, a pair in its middle, and its first token behind the prompt's last. */
	let badWords: number[][];
	beforeAll(async () => {
		const options: EmbeddedEngineOptions = {
			modelPath,
			backend,
			threads: 2,
			numKvBlocks: 16,
			logitsProcessors: {
				only: (id) => ({
					process(_, logits) {
						for (const each of logits.keys()) if (each !== id) logits[each] = -Infinity;
					},
				}),
			},
		};
		engine = createEmbeddedEngine(options);
		guessing = createEmbeddedEngine({ ...options, speculativeMode: "prompt-lookup", speculativeTokens: 4 });
		await Promise.all([engine.start(), guessing.start()]);
		free = await tokens(engine, ask([]));
		badWords = [[free.at(-1)!], free.slice(7, 9), [prompt.at(-1)!, free[0]!]];
	});
	afterAll(() => Promise.all([engine.close(), guessing.close()]));

	it("are not in an answer, nor across its beginning", async () => {
		for (const words of [...badWords.map((word) => [word]), badWords]) {
			const answer = await tokens(engine, ask(words));
			expect(answer).toHaveLength(40);
			expect(answer).not.toEqual(free);
			for (const word of words)
				expect(`,${[prompt.at(-1), ...answer].join()},`).not.toContain(`,${word.join()},`);
		}
	});

	it("count with guesses as without, and where another instance began", async () => {
		const words = [...badWords, free.slice(5, 8)]; // three of the same
		const answer = await tokens(engine, ask(words));
		expect(await tokens(guessing, ask(words))).toEqual(answer);
		for (const seam of [1, 2, 17]) {
			const resumed = ask(words, {
				tokenIds: [...prompt, ...answer.slice(0, seam)],
				resumedTokens: seam,
				stop: { maxTokens: 40 - seam },
			});
			expect(await tokens(engine, resumed)).toEqual(answer.slice(seam));
		}
	});

	it("that a logits processor insists on fail their request, and no other", async () => {
		const insists = (badWord: number) =>
			ask([[badWord]], { logitsProcessors: [{ name: "only", args: free[0] }] });
		const [failed, other] = await Promise.all([
			tokens(engine, insists(free[0]!)).catch((error: Error) => error.message),
			tokens(engine, insists((free[0]! + 1) % 40)),
		]);
		expect(failed).toContain("leave only tokens that bad_words or min_tokens forbids");
		expect(new Set(other)).toEqual(new Set([free[0]]));
	});

	it("are refused when they are none, too many, of no token that there is, or leave none", async () => {
		const all = Array.from({ length: 40 }, (_, id) => [id]);
		for (const words of [[[]], [[40]], [[-1]], all, new Array<number[]>(2049).fill([1])])
			expect(await codeOf(tokens(engine, ask(words)))).toBe("INVALID_ARGUMENT");
		expect(new Set(await tokens(engine, ask(all.slice(1))))).toEqual(new Set([0]));
	});
});
