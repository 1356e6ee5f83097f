// SPDX-License-Identifier: Apache-2.0

import { createRequestContext } from "@dyn/common";
import { conformanceCases } from "@dyn/engine/conformance";
import { createModelStore } from "@dyn/models/store";
import { createGenerateRequest } from "@dyn/protocols";
import { createEmbeddedEngine, type EmbeddedEngineOptions } from "@dyn/trtllm-native";
import { beforeAll, describe, expect, it } from "vitest";

let modelPath: string;
beforeAll(async () => {
	modelPath = (await createModelStore().resolve("smollm2-135m-instruct", { pull: true })).path;
});

describe("the embedded engine keeps the Engine contract", () => {
	for (const each of conformanceCases) {
		it(each.name, async () => {
			const engine = createEmbeddedEngine({ modelPath });
			try {
				await each.run({ engine, info: await engine.start() });
			} finally {
				await engine.close();
			}
		});
	}
});

/** Greedy tokens of several prompts at once, and how often sequences were preempted. */
async function generateAll(
	options: Partial<EmbeddedEngineOptions>,
	prompts: number[][],
): Promise<{ tokens: number[][]; preemptions: number; cached: number }> {
	let preemptions = 0;
	let cached = 0;
	const engine = createEmbeddedEngine({
		modelPath,
		...options,
		onIteration: (stats) => (preemptions = stats.preemptions),
	});
	await engine.start();
	try {
		const tokens = await Promise.all(
			prompts.map(async (tokenIds) => {
				const own: number[] = [];
				const request = createGenerateRequest({
					tokenIds,
					sampling: { temperature: 0 },
					stop: { maxTokens: 60, ignoreEos: true },
				});
				for await (const output of engine.generate(request, createRequestContext())) {
					own.push(...output.tokenIds);
					cached += output.usage?.cachedTokens ?? 0;
				}
				return own;
			}),
		);
		expect(engine.load()[0]).toMatchObject({ activeKvBlocks: 0, runningSequences: 0, waitingSequences: 0 });
		return { tokens, preemptions, cached };
	} finally {
		await engine.close();
	}
}

describe("tokens are the same", () => {
	const prompts = Array.from({ length: 6 }, (_, i) =>
		Array.from({ length: 70 + 5 * i }, (_, k) => 1000 + ((i * 104729 + k * 7919) % 40_000)),
	);

	it("preempted and resumed, or left alone", async () => {
		const alone = await generateAll({}, prompts);
		// 18 blocks hold three of the six sequences to their end.
		const squeezed = await generateAll({ numKvBlocks: 18 }, prompts);
		expect(alone.preemptions).toBe(0);
		expect(squeezed.preemptions).toBeGreaterThan(0);
		expect(squeezed.tokens).toEqual(alone.tokens);
	});

	it("with the prefix in the cache or not", async () => {
		const shared = prompts[0]!;
		const followers = [
			[...shared, 7, 8, 9],
			[...shared, 10, 11, 12],
		];
		const cold = await Promise.all(
			followers.map(async (prompt) => (await generateAll({}, [prompt])).tokens[0]),
		);
		const warm = await generateAll({ maxNumSeqs: 1 }, [shared, ...followers]);
		expect(warm.cached).toBeGreaterThan(0);
		expect(warm.tokens.slice(1)).toEqual(cold);
	});

	it("alone or among sixteen, in small steps or large", async () => {
		const alone = await Promise.all(
			prompts.map(async (prompt) => (await generateAll({ maxNumSeqs: 1 }, [prompt])).tokens[0]),
		);
		expect(
			(await generateAll({ maxNumBatchedTokens: 16 }, [...prompts, ...prompts])).tokens.slice(0, 6),
		).toEqual(alone);
	});
});
