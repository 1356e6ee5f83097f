// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { EngineOutput } from "@dyn/protocols";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { codeOf, collect, greedy, text, tokens, tokensOf } from "../engine/__fixtures__/ask.js";
import { paperEngine } from "../engine/__fixtures__/paper-backend.js";
import { createEmbeddedEngine } from "../engine/embedded-engine.js";
import type { EmbeddedEngineOptions, IterationStats } from "../engine/options.js";
import { checkpointFolder, type Family, gguf, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { buildNative } from "../native/__fixtures__/tiny-model.js";
import { merged, saveAdapter, testAdapter } from "./__fixtures__/peft-adapter.js";

buildNative();
const checkpoints = checkpointFolder();
const root = mkdtempSync(join(tmpdir(), "dyn-lora-"));
const base = huggingFace("llama");
let modelPath: string;
const adapters: string[] = [];
beforeAll(async () => {
	modelPath = await checkpoints.saveHuggingFace(base);
	for (const seed of [1, 2, 3])
		adapters.push(await saveAdapter(root, `adapter-${seed}`, testAdapter(base, seed, { rank: 3 * seed })));
});
afterAll(() => {
	checkpoints.dispose();
	rmSync(root, { recursive: true });
});

async function withEngine<T>(
	options: Partial<EmbeddedEngineOptions>,
	use: (engine: Engine) => Promise<T>,
): Promise<T> {
	const engine = createEmbeddedEngine({ modelPath, threads: 2, numKvBlocks: 64, ...options });
	try {
		await engine.start();
		return await use(engine);
	} finally {
		await engine.close();
	}
}

const prompt = text(5, 45, 40);
const ask = (lora: string | null, tokenIds = prompt, maxTokens = 12) =>
	greedy({ tokenIds, lora, stop: { maxTokens }, output: { logprobs: 20 } });

/** Every log-probability of an answer: 20 of 40 tokens at each place. */
const logprobsOf = (outputs: readonly EngineOutput[]) =>
	outputs.flatMap(({ logprobs }) =>
		(logprobs ?? []).map(({ top }) => new Map(top.map((each) => [each.tokenId, each.logprob]))),
	);

describe.each(["native", "reference"] as const)("a LoRA adapter, %s", (backend) => {
	it.each<[Family, Parameters<typeof testAdapter>[2]]>([
		["llama", {}],
		["qwen2", { rank: 17, rslora: true }],
		["qwen3", { rank: 1, modules: ["q_proj", "v_proj"] }],
		["llama", { modules: ["gate_proj", "down_proj"] }],
	])("answers as the model into which it is merged: %s, %j", async (family, how) => {
		const model = huggingFace(family);
		const adapter = testAdapter(model, 9, how);
		const path = await saveAdapter(root, `merge-${family}`, adapter);
		const paths = [
			await checkpoints.saveHuggingFace(model),
			await checkpoints.saveHuggingFace(merged(model, adapter)),
		];
		const f32 = { backend, precision: "f32" } as const;
		const [plain, own] = await withEngine({ ...f32, modelPath: paths[0]! }, async (engine) => {
			await engine.lora!.load("a", path);
			return [await collect(engine, ask(null)), await collect(engine, ask("a"))];
		});
		const expected = await withEngine({ ...f32, modelPath: paths[1]! }, (engine) =>
			collect(engine, ask(null)),
		);
		expect(tokensOf(own!)).toEqual(tokensOf(expected));
		const [actual, wanted] = [logprobsOf(own!), logprobsOf(expected)];
		expect(actual).toHaveLength(12);
		for (const [place, top] of wanted.entries())
			for (const [id, logprob] of [...top].slice(0, 15))
				expect(actual[place]!.get(id)).toBeCloseTo(logprob, 4);
		// It must matter, or this would prove nothing.
		expect(logprobsOf(plain!)[0]).not.toEqual(actual[0]);
	});

	it("fits a GGUF file, which has the rows of some matrices in another order", async () => {
		const adapter = testAdapter(base, 4);
		const path = await saveAdapter(root, "gguf", adapter);
		const file = await checkpoints.saveGguf(gguf("llama"));
		const whole = await checkpoints.saveHuggingFace(merged(base, adapter));
		const f32 = { backend, precision: "f32" } as const;
		const actual = await withEngine({ ...f32, modelPath: file }, async (engine) => {
			await engine.lora!.load("a", path);
			return logprobsOf(await collect(engine, ask("a", prompt, 1)))[0]!;
		});
		const expected = await withEngine({ ...f32, modelPath: whole }, (engine) =>
			collect(engine, ask(null, prompt, 1)),
		);
		for (const [id, logprob] of [...logprobsOf(expected)[0]!].slice(0, 15))
			expect(actual.get(id)).toBeCloseTo(logprob, 4);
	});

	it("gives the same bits whoever else is in the batch, with other adapters or none", async () => {
		const names = ["a", "b", "c", null];
		const requests = names.flatMap((name, i) => [ask(name), ask(name, text(i, 60, 40), 100)]);
		const load = async (engine: Engine) => {
			for (const [i, path] of adapters.entries()) await engine.lora!.load(names[i]!, path);
		};
		const alone: EngineOutput[][] = [];
		await withEngine({ backend, speculativeMode: "off" }, async (engine) => {
			await load(engine);
			for (const request of requests)
				alone.push(
					await collect(engine, {
						...request,
						routing: { ...request.routing, cacheSalt: String(alone.length) },
					}),
				);
		});
		// Small steps, and too few blocks: sequences lose theirs and begin anew. Guesses come on top.
		let preemptions = 0;
		const onIteration = (stats: IterationStats) => {
			preemptions = stats.preemptions;
		};
		await withEngine({ backend, numKvBlocks: 9, maxNumBatchedTokens: 23, onIteration }, async (engine) => {
			await load(engine);
			const together = await Promise.all(requests.map((request) => collect(engine, request)));
			for (const [i, outputs] of together.entries()) {
				expect(tokensOf(outputs)).toEqual(tokensOf(alone[i]!));
				expect(logprobsOf(outputs)).toEqual(logprobsOf(alone[i]!));
			}
			expect(preemptions).toBeGreaterThan(0);
		});
	});

	it("never shares KV blocks with another one, the model alone, or a successor of its name", async () => {
		await withEngine({ backend, dpSize: 2 }, async (engine) => {
			const on = (lora: string | null, dpRank = 0) => ({
				...ask(lora),
				routing: { ...ask(null).routing, dpRank },
			});
			const answer = async (lora: string | null, dpRank = 0) => {
				const outputs = await collect(engine, on(lora, dpRank));
				return { tokens: tokensOf(outputs), cached: outputs.at(-1)!.usage!.cachedTokens };
			};
			await engine.lora!.load("a", adapters[0]!);
			await engine.lora!.load("b", adapters[1]!);
			const first = [await answer(null), await answer("a"), await answer("b")];
			expect(first.map(({ cached }) => cached)).toEqual([0, 0, 0]);
			expect(new Set(first.map((each) => each.tokens.join())).size).toBe(3);
			for (const [i, name] of [null, "a", "b"].entries())
				expect(await answer(name)).toEqual({ tokens: first[i]!.tokens, cached: 32 });
			expect(await answer("b", 1)).toEqual({ tokens: first[2]!.tokens, cached: 0 });
			await engine.lora!.unload("a");
			await engine.lora!.load("a", adapters[1]!);
			for (const rank of [0, 1])
				expect(await answer("a", rank)).toEqual({ tokens: first[2]!.tokens, cached: 0 });
		});
	});

	it("stays until the requests that use it have ended", async () => {
		await withEngine({ backend }, async (engine) => {
			const { lora } = engine;
			await lora!.load("a", adapters[0]!);
			expect(lora!.list()).toEqual([{ name: "a", path: adapters[0] }]);
			const expected = await tokens(engine, ask("a", prompt, 60));
			const stream = engine.generate(ask("a", prompt, 60), createRequestContext())[Symbol.asyncIterator]();
			const began = await stream.next();
			let gone = false;
			const unloading = lora!.unload("a").then(() => {
				gone = true;
			});
			expect(await codeOf(tokens(engine, ask("a")))).toBe("NOT_FOUND");
			expect(await codeOf(lora!.load("a", adapters[1]!))).toBe("OVERLOADED");
			expect(gone).toBe(false);
			const rest: number[] = [];
			for (let next = await stream.next(); !next.done; next = await stream.next())
				rest.push(...next.value.tokenIds);
			expect([...began.value!.tokenIds, ...rest]).toEqual(expected);
			await unloading;
			expect(lora!.list()).toEqual([]);
			expect(await codeOf(lora!.unload("a"))).toBe("NOT_FOUND");
			// One that its caller leaves is not waited for either.
			await lora!.load("a", adapters[0]!);
			const left = engine.generate(ask("a", prompt, 60), createRequestContext())[Symbol.asyncIterator]();
			await left.next();
			const second = lora!.unload("a");
			await left.return!();
			await second;
		});
	});
});

describe("adapters", () => {
	it("are asked for by name, and refused by it", async () => {
		await withEngine({}, async (engine) => {
			await expect(tokens(engine, ask("nobody"))).rejects.toMatchObject({
				code: "NOT_FOUND",
				message: expect.stringContaining('"nobody"'),
				details: { param: "lora_name" },
			});
			const { lora } = engine;
			await lora!.load("a", adapters[0]!);
			await lora!.load("a", adapters[0]!);
			expect(await codeOf(lora!.load("a", adapters[1]!))).toBe("INVALID_ARGUMENT");
			expect(await codeOf(lora!.load("", adapters[1]!))).toBe("INVALID_ARGUMENT");
			expect(await codeOf(lora!.load("b", join(root, "nowhere")))).toBe("NOT_FOUND");
			expect(lora!.list()).toHaveLength(1);
		});
	});

	it("are unknown to engines whose backend has none", async () => {
		const { engine } = await paperEngine();
		expect(engine.lora).toBe(undefined);
		expect(await codeOf(tokens(engine, ask("a")))).toBe("UNIMPLEMENTED");
	});
});
