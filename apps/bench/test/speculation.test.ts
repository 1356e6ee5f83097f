// SPDX-License-Identifier: Apache-2.0
// The packaged model answers a hundred questions twice: token by token, and with guesses. Nobody can tell which is which.
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequest, type SamplingOptions } from "@dyn/protocols";
import { createEmbeddedEngine, type EmbeddedEngineOptions, type IterationStats } from "@dyn/trtllm-native";
import { beforeAll, expect, it } from "vitest";
import { modelFile } from "../src/model-file.js";
import { COPYING, ORDINARY } from "../src/speculation/prompts.js";
import { chatPrompts } from "../src/speculation/questions.js";

const TOKENS = 16;
/** Every sequence of questions meets every one of these. */
const SAMPLINGS: readonly Partial<SamplingOptions>[] = [
	{ temperature: 0 },
	{ temperature: 0, presencePenalty: 0.6, frequencyPenalty: 0.8, repetitionPenalty: 1.1 },
	{ temperature: 0.7, seed: 42 },
	{ temperature: 1, topP: 0.9, topK: 50, minP: 0.02, seed: 7, frequencyPenalty: 0.3 },
];

let modelPath: string;
let requests: GenerateRequest[];
beforeAll(async () => {
	modelPath = await modelFile("smollm2-135m-instruct");
	const prompts = await chatPrompts(modelPath, [...COPYING, ...ORDINARY]);
	requests = prompts.map((tokenIds, i) =>
		createGenerateRequest({
			tokenIds,
			sampling: SAMPLINGS[i % SAMPLINGS.length]!,
			stop: { maxTokens: TOKENS },
			output: { logprobs: 2 },
		}),
	);
});

/** Tokens, log-probabilities and the reason of the end. */
async function answer(engine: Engine, request: GenerateRequest) {
	const tokens: unknown[] = [];
	let finishReason: string | null = null;
	for await (const output of engine.generate(request, createRequestContext())) {
		tokens.push(...output.logprobs!);
		finishReason = output.finishReason;
	}
	return { tokens, finishReason };
}

async function withEngine<T>(
	options: Partial<EmbeddedEngineOptions>,
	use: (engine: Engine) => Promise<T>,
): Promise<T> {
	const engine = createEmbeddedEngine({ modelPath, maxSeqLen: 1024, ...options });
	await engine.start();
	return use(engine).finally(() => engine.close());
}

it("answers a hundred questions as without guesses, in whatever company", async () => {
	expect(requests).toHaveLength(100);
	const all = (engine: Engine) => Promise.all(requests.map((request) => answer(engine, request)));
	const expected = await withEngine({ speculativeMode: "off" }, all);
	let last: IterationStats | null = null;
	const onIteration = (stats: IterationStats) => {
		last = stats;
	};
	// Fewer at once leave more rows for guesses.
	await withEngine({ maxNumSeqs: 4, onIteration }, async (engine) => {
		expect(await all(engine)).toEqual(expected);
		expect(last!.acceptedDraftTokens).toBeGreaterThan(50);
		expect(last!.draftTokens).toBeGreaterThan(last!.acceptedDraftTokens);
		// Alone they guess more; what was in the batch must not show.
		for (const i of [0, 1, 26, 27, 53, 98]) expect(await answer(engine, requests[i]!)).toEqual(expected[i]);
	});
});
