// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createModelStore } from "@dyn/models/store";
import { createGenerateRequest, type GenerateRequestInit } from "@dyn/protocols";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { afterAll, beforeAll, expect, it } from "vitest";

const TOKENS = 40;
const prompt = Array.from({ length: 30 }, (_, i) => 1000 + 97 * (i % 7));
let engine: Engine;
beforeAll(async () => {
	const { path } = await createModelStore().resolve("smollm2-135m-instruct", { pull: true });
	engine = createEmbeddedEngine({ modelPath: path, threads: 1, numKvBlocks: 32 });
	await engine.start();
});
afterAll(() => engine.close());

/** Ids and log-probabilities of up to TOKENS tokens, the first `generated` of which were made before. */
async function answer(
	sampling: GenerateRequestInit["sampling"],
	generated: readonly number[] = [],
	resumed = 0,
) {
	const request = createGenerateRequest({
		tokenIds: [...prompt, ...generated],
		resumedTokens: resumed,
		sampling,
		stop: { maxTokens: TOKENS - generated.length, ignoreEos: true },
		output: { logprobs: 0 },
	});
	const tokens: (readonly [number, number])[] = [];
	for await (const { logprobs } of engine.generate(request, createRequestContext()))
		tokens.push(...(logprobs ?? []).map(({ tokenId, logprob }) => [tokenId, logprob] as const));
	return tokens;
}

it.each([
	["presence and frequency penalties", { temperature: 0, presencePenalty: 0.8, frequencyPenalty: 0.7 }],
	["all penalties", { temperature: 0, presencePenalty: -0.5, frequencyPenalty: 0.9, repetitionPenalty: 1.2 }],
	["a seed", { temperature: 1, seed: 11, topP: 0.9, frequencyPenalty: 0.5 }],
])("an answer goes on in the middle as if it had never stopped: %s", async (_, sampling) => {
	const whole = await answer(sampling);
	const ids = whole.map(([id]) => id);
	for (const seam of [1, 13, 32])
		expect(await answer(sampling, ids.slice(0, seam), seam)).toEqual(whole.slice(seam));
	// Taken for prompt, those tokens lead elsewhere: what is compared above depends on them.
	expect(await answer(sampling, ids.slice(0, 13))).not.toEqual(whole.slice(13));
});

it("a guided answer goes on where its guide was", async () => {
	const ask = async (generated: readonly number[]) => {
		const request = createGenerateRequest({
			tokenIds: [...prompt, ...generated],
			resumedTokens: generated.length,
			guided: { kind: "regex", pattern: "([a-z]{3,9} ){6}[0-9]{4}" },
			sampling: { temperature: 1, seed: 5 },
			stop: { maxTokens: 80 - generated.length },
		});
		const tokens: number[] = [];
		for await (const { tokenIds } of engine.generate(request, createRequestContext()))
			tokens.push(...tokenIds);
		return tokens;
	};
	const whole = await ask([]);
	expect(whole.length).toBeGreaterThan(8);
	for (const seam of [1, 5, whole.length - 1])
		expect(await ask(whole.slice(0, seam))).toEqual(whole.slice(seam));
});
