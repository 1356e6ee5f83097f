// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type MetricLabels, type Metrics, noMetrics } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { buildNative } from "../native/__fixtures__/tiny-model.js";
import { codeOf, collect, greedy, text, tokens } from "./__fixtures__/ask.js";
import { createEmbeddedEngine } from "./embedded-engine.js";
import type { EmbeddedEngineOptions, IterationStats } from "./options.js";

buildNative();
const checkpoints = checkpointFolder();
let modelPath: string;
beforeAll(async () => {
	modelPath = await checkpoints.saveHuggingFace(huggingFace("qwen2"));
});
afterAll(() => checkpoints.dispose());

async function withEngine<T>(
	options: Partial<EmbeddedEngineOptions>,
	use: (engine: Engine) => Promise<T>,
): Promise<T> {
	const engine = createEmbeddedEngine({ modelPath, threads: 2, numKvBlocks: 32, dpSize: 2, ...options });
	try {
		const { dpSize, totalKvBlocks } = await engine.start();
		expect({ dpSize, totalKvBlocks }).toEqual({ dpSize: options.dpSize ?? 2, totalKvBlocks: 32 });
		return await use(engine);
	} finally {
		await engine.close();
	}
}

const prompt = text(3, 70, 40);
const onRank = (
	dpRank: number | null,
	init: Parameters<typeof greedy>[0] = { tokenIds: prompt },
): GenerateRequest => greedy({ ...init, routing: { ...init.routing, dpRank } });
const idle = { runningSequences: 0, waitingSequences: 0, activeKvBlocks: 0 };

describe.each(["native", "reference"] as const)("data-parallel ranks, %s", (backend) => {
	it("give the same tokens and embeddings each, alone and side by side", async () => {
		const alone = await withEngine({ backend, dpSize: 1 }, (engine) => tokens(engine, onRank(null)));
		await withEngine({ backend, dpSize: 3 }, async (engine) => {
			const answers = await Promise.all([0, 1, 2].map((rank) => tokens(engine, onRank(rank))));
			expect(answers).toEqual([alone, alone, alone]);
			const vectors = await Promise.all(
				[0, 1, 2].map((dpRank) =>
					engine.embed!({ model: "", inputs: [prompt], dimensions: null, dpRank }, createRequestContext()),
				),
			);
			expect(vectors[1]).toEqual(vectors[0]);
			expect(vectors[2]).toEqual(vectors[0]);
		});
	});

	it("have caches of their own, and tell of them apart, each without gaps", async () => {
		await withEngine({ backend }, async (engine) => {
			const events: KvEvent[] = [];
			const reading = (async () => {
				for await (const event of engine.kvEvents()) events.push(event);
			})();
			const cachedOf = async (rank: number) =>
				(await collect(engine, onRank(rank))).at(-1)!.usage!.cachedTokens;
			expect(await cachedOf(1)).toBe(0);
			expect(engine.load().map(({ dpRank, cachedKvBlocks }) => [dpRank, cachedKvBlocks])).toEqual([
				[0, 0],
				[1, 2],
			]);
			expect(await cachedOf(0)).toBe(0);
			expect(await cachedOf(1)).toBe(64);
			await engine.close();
			await reading;
			const byRank = (rank: number) => events.filter(({ dpRank }) => dpRank === rank);
			for (const rank of [0, 1])
				expect(byRank(rank).map(({ eventId }) => eventId)).toEqual([...byRank(rank).keys()]);
			// The same content has the same hashes wherever it is.
			expect(byRank(0).map(({ data }) => data)).toEqual(byRank(1).map(({ data }) => data));
			expect(byRank(0).length).toBeGreaterThan(0);
		});
	});

	it("do not feel what happens at another one", async () => {
		await withEngine({ backend, maxNumSeqs: 2, numKvBlocks: 32 }, async (engine) => {
			const expected = await tokens(engine, onRank(0));
			// Rank 1 has more than it can run, of as many tokens as fit, and loses it all halfway.
			const caller = new AbortController();
			const crowd = Array.from({ length: 6 }, (_, i) =>
				collect(engine, onRank(1, { tokenIds: text(i, 40, 40), stop: { maxTokens: 470 } }), {
					signal: caller.signal,
				}),
			);
			const first = tokens(engine, onRank(0));
			const sequences = () =>
				engine.load().map(({ runningSequences, waitingSequences }) => runningSequences + waitingSequences);
			while (sequences()[1] !== 6) await new Promise(setImmediate);
			expect(sequences()[0]).toBeLessThan(2);
			expect(await first).toEqual(expected);
			const second = tokens(engine, onRank(0));
			caller.abort();
			const endings = (await Promise.all(crowd)).map(
				(outputs: EngineOutput[]) => outputs.at(-1)!.finishReason,
			);
			expect(endings).toEqual(Array(6).fill("cancelled"));
			expect(await second).toEqual(expected);
			for (const load of engine.load()) expect(load).toMatchObject(idle);
		});
	});
});

describe("requests", () => {
	it("go to the rank that is named, to that of their conversation, or to the one with the fewest", async () => {
		const steps: number[] = [];
		const onIteration = ({ dpRank }: IterationStats) => void steps.push(dpRank);
		await withEngine({ onIteration, speculativeMode: "off" }, async (engine) => {
			const ranksOf = async (...requests: GenerateRequest[]) => {
				steps.length = 0;
				await Promise.all(requests.map((request) => tokens(engine, request)));
				return [...new Set(steps)].sort();
			};
			expect(await ranksOf(onRank(1))).toEqual([1]);
			expect(await ranksOf(onRank(0))).toEqual([0]);
			expect(await ranksOf(onRank(null), onRank(null))).toEqual([0, 1]);
			const talk = (conversationId: string) =>
				onRank(null, { tokenIds: prompt, routing: { conversationId } });
			const [own] = await ranksOf(talk("a"));
			expect(await ranksOf(talk("a"), talk("a"), talk("a"))).toEqual([own]);
			expect(await ranksOf(talk("b"))).toEqual([1 - own!]);
		});
	});

	it.each([2, -1, 0.5])("for rank %d of two are refused by name", async (dpRank) => {
		await withEngine({}, async (engine) => {
			await expect(tokens(engine, onRank(dpRank))).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining("ranks 0 to 1"),
				details: { param: "dp_rank" },
			});
			const embedding = { model: "", inputs: [prompt], dimensions: null, dpRank };
			await expect(engine.embed!(embedding, createRequestContext())).rejects.toMatchObject({
				details: { param: "dp_rank" },
			});
		});
	});
});

it("metrics of several ranks say which", async () => {
	const series = new Map<string, number>();
	const key = (name: string, labels: MetricLabels) => name + JSON.stringify(labels);
	let collect = () => {};
	const metrics: Metrics = {
		...noMetrics,
		counter: ({ name }) => ({
			inc: (labels = {}, by = 1) =>
				void series.set(key(name, labels), (series.get(key(name, labels)) ?? 0) + by),
		}),
		gauge: ({ name, labels: names }) => {
			expect(names).toEqual(["dp_rank"]);
			const set = (value: number, labels: MetricLabels = {}) => void series.set(key(name, labels), value);
			return { set, inc: () => {}, dec: () => {}, remove: () => {} };
		},
		onCollect: (callback) => {
			const before = collect;
			collect = () => {
				before();
				callback();
			};
		},
	};
	await withEngine({ metrics }, async (engine) => {
		await tokens(engine, onRank(1, { tokenIds: prompt, stop: { maxTokens: 3 } }));
		collect();
		expect(series.get('dyn_engine_generated_tokens_total{"dp_rank":"1"}')).toBe(3);
		expect(series.has('dyn_engine_generated_tokens_total{"dp_rank":"0"}')).toBe(false);
		expect(series.get('dyn_engine_total_kv_blocks{"dp_rank":"0"}')).toBe(32);
		expect(series.get('dyn_engine_cached_kv_blocks{"dp_rank":"0"}')).toBe(0);
		expect(series.get('dyn_engine_cached_kv_blocks{"dp_rank":"1"}')).toBe(2);
	});
});

it.each([0, 1.5, 65])("%d ranks are refused by name", (dpSize) => {
	expect(() => createEmbeddedEngine({ modelPath, dpSize })).toThrow(/dpSize must be 1 to 64/);
});

it("an engine that is one rank of others has no ranks of its own", () => {
	expect(() => createEmbeddedEngine({ modelPath, dpSize: 2, dpRank: 1 })).toThrow(/dpRank/);
});

it("a failed start is that of all ranks", async () => {
	const engine = createEmbeddedEngine({ modelPath: "/nonexistent", dpSize: 2 });
	expect(await codeOf(engine.start())).toBe("NOT_FOUND");
	await engine.close();
});
