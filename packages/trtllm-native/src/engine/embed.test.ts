// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createRequestContext, type RequestContextOptions } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { EmbedOutput, EmbedRequest } from "@dyn/protocols";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { buildNative } from "../native/__fixtures__/tiny-model.js";
import { codeOf, greedy, text, tokens } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";
import { createEmbeddedEngine } from "./embedded-engine.js";
import type { EmbeddedEngineOptions, IterationStats } from "./options.js";

buildNative();
const HIDDEN = 32;
const checkpoints = checkpointFolder();
let modelPath: string;
beforeAll(async () => {
	modelPath = await checkpoints.saveHuggingFace(huggingFace("llama"));
});
afterAll(() => checkpoints.dispose());

const inputs = Array.from({ length: 9 }, (_, i) => text(i, 5 + 17 * i, 40));

function embed(
	engine: Engine,
	request: Partial<EmbedRequest>,
	context: RequestContextOptions = {},
): Promise<EmbedOutput> {
	const all = { model: "m", inputs, dimensions: null, dpRank: null, ...request };
	return engine.embed!(all, createRequestContext(context));
}

async function withEngine<T>(
	options: Partial<EmbeddedEngineOptions>,
	use: (engine: Engine, info: EngineInfo) => Promise<T>,
): Promise<T> {
	const engine = createEmbeddedEngine({ modelPath, threads: 2, numKvBlocks: 64, ...options });
	try {
		return await use(engine, await engine.start());
	} finally {
		await engine.close();
	}
}

const lengthOf = (vector: Float32Array) => Math.hypot(...vector);

describe.each(["mean", "last"] as const)("embeddings pooled by %s", (embeddingPooling) => {
	it("are those of the reference, of length 1, one per input", async () => {
		const expected = await withEngine({ backend: "reference", embeddingPooling }, (engine) =>
			embed(engine, {}),
		);
		const actual = await withEngine({ precision: "f32", embeddingPooling }, async (engine, info) => {
			expect(info.embeddingSize).toBe(HIDDEN);
			return embed(engine, {});
		});
		expect(actual.promptTokens).toBe(inputs.reduce((sum, { length }) => sum + length, 0));
		expect(actual.embeddings).toHaveLength(inputs.length);
		for (const [i, vector] of actual.embeddings.entries()) {
			expect(vector).toHaveLength(HIDDEN);
			expect(lengthOf(vector)).toBeCloseTo(1, 6);
			for (const [k, value] of vector.entries()) expect(value).toBeCloseTo(expected.embeddings[i]![k]!, 5);
		}
		// Inputs tell apart, or this would prove nothing.
		expect(actual.embeddings[0]).not.toEqual(actual.embeddings[1]);
	});

	it.each(["native", "reference"] as const)(
		"do not depend on who else is in the batch: %s",
		async (backend) => {
			const some = backend === "native" ? inputs : [...inputs.slice(0, 2), inputs.at(-1)!];
			const alone: Float32Array[] = [];
			for (const input of some)
				alone.push(
					(await withEngine({ backend, embeddingPooling }, (engine) => embed(engine, { inputs: [input] })))
						.embeddings[0]!,
				);
			// Three answers that grow take the blocks of embeddings that are not done: these begin anew.
			let preemptions = 0;
			const onIteration = (stats: IterationStats) => {
				preemptions = stats.preemptions;
			};
			const limits = {
				maxNumBatchedTokens: 13,
				maxNumSeqs: 5,
				numKvBlocks: 11,
				speculativeMode: "off",
			} as const;
			await withEngine({ backend, embeddingPooling, ...limits, onIteration }, async (engine) => {
				const requests = [77, 78, 79].map((seed) =>
					greedy({ tokenIds: text(seed, 55, 40), stop: { maxTokens: 40 } }),
				);
				const answers = Promise.all(requests.map((request) => tokens(engine, request)));
				const begun = () => engine.load()[0]!.runningSequences + engine.load()[0]!.waitingSequences;
				while (begun() < requests.length) await new Promise(setImmediate);
				const [longest, embedded] = await Promise.all([
					embed(engine, { inputs: [some.at(-1)!] }),
					embed(engine, { inputs: some }),
				]);
				expect(longest.embeddings).toEqual(alone.slice(-1));
				expect(embedded.embeddings).toEqual(alone);
				const disturbed = await answers;
				expect(preemptions).toBeGreaterThan(0);
				expect(await Promise.all(requests.map((request) => tokens(engine, request)))).toEqual(disturbed);
				expect(engine.load()[0]).toMatchObject({
					runningSequences: 0,
					waitingSequences: 0,
					activeKvBlocks: 0,
				});
			});
		},
	);

	it("keep their leading values when fewer are asked for, and length 1", async () => {
		await withEngine({ embeddingPooling }, async (engine) => {
			const whole = (await embed(engine, {})).embeddings[3]!;
			const short = (await embed(engine, { dimensions: 5 })).embeddings[3]!;
			expect(short).toHaveLength(5);
			expect(lengthOf(short)).toBeCloseTo(1, 6);
			for (let i = 1; i < 5; i++) expect(short[i]! / short[0]!).toBeCloseTo(whole[i]! / whole[0]!, 4);
		});
	});
});

describe("requests for embeddings", () => {
	it.each<[string, Partial<EmbedRequest>, string]>([
		["no input", { inputs: [] }, "input"],
		["an empty input", { inputs: [[1], []] }, "input"],
		["an unknown token", { inputs: [[1, 40]] }, "input"],
		["a negative token", { inputs: [[-1]] }, "input"],
		["an input beyond the context", { inputs: [text(1, 513, 40)] }, "input"],
		["no dimension", { dimensions: 0 }, "dimensions"],
		["more dimensions than there are", { dimensions: HIDDEN + 1 }, "dimensions"],
		["another rank", { dpRank: 1 }, "dp_rank"],
	])("with %s are refused by name", async (_, request, param) => {
		await withEngine({}, async (engine) => {
			await expect(embed(engine, request)).rejects.toMatchObject({ details: { param } });
			expect((await embed(engine, { inputs: [text(1, 512, 40)] })).promptTokens).toBe(512);
		});
	});

	it("end when their caller goes away, the engine closes or dies, and leave nothing behind", async () => {
		await withEngine({ backend: "reference" }, async (engine) => {
			const caller = new AbortController();
			const long = { inputs: [text(1, 400, 40), text(2, 400, 40)] };
			const cancelled = embed(engine, long, { signal: caller.signal });
			const late = embed(engine, long, { deadlineMs: performance.now() });
			setImmediate(() => caller.abort());
			expect(await codeOf(cancelled)).toBe("CANCELLED");
			expect(await codeOf(late)).toBe("DEADLINE_EXCEEDED");
			expect(engine.load()[0]).toMatchObject({ runningSequences: 0, waitingSequences: 0, activeKvBlocks: 0 });
			const gone = embed(engine, long, { signal: AbortSignal.abort() });
			expect(await codeOf(gone)).toBe("CANCELLED");
			const closed = codeOf(embed(engine, long));
			await new Promise(setImmediate); // it runs by now
			await engine.close();
			expect(await closed).toBe("CANCELLED");
			expect(await codeOf(embed(engine, long))).toBe("UNAVAILABLE");
		});
	});

	it("are refused by an engine whose backend has no hidden states", async () => {
		const { engine } = await paperEngine();
		expect(await codeOf(embed(engine, {}))).toBe("UNIMPLEMENTED");
	});
});

it("come from a checkpoint without head, whose tensors have shorter names, as from one with it", async () => {
	const folder = huggingFace("qwen3");
	const whole = await checkpoints.saveHuggingFace(folder);
	const tensors = new Map(
		[...folder.tensors.values()].map((tensor) => {
			const name = tensor.name.replace(/^model\./, "");
			return [name, { ...tensor, name }];
		}),
	);
	const bare = await checkpoints.saveHuggingFace({ ...folder, tensors });
	const all = (path: string) => withEngine({ modelPath: path }, (engine) => embed(engine, {}));
	expect(await all(bare)).toEqual(await all(whole));
});

describe("the pooling of a model", () => {
	const lastToken = {
		pooling_mode_mean_tokens: false,
		pooling_mode_lasttoken: true,
		word_embedding_dimension: 8,
	};
	const save = async (config: unknown) => {
		const folder = await checkpoints.saveHuggingFace(huggingFace("llama"));
		mkdirSync(join(folder, "1_Pooling"));
		writeFileSync(join(folder, "1_Pooling", "config.json"), JSON.stringify(config));
		return folder;
	};
	const first = (options: Partial<EmbeddedEngineOptions>) =>
		withEngine(options, async (engine) => (await embed(engine, { inputs: [inputs[2]!] })).embeddings[0]!);

	it("is what its folder says, unless an option says otherwise, and else the mean", async () => {
		const [mean, last] = [
			await first({ embeddingPooling: "mean" }),
			await first({ embeddingPooling: "last" }),
		];
		expect(mean).not.toEqual(last);
		expect(await first({})).toEqual(mean);
		const folder = await save(lastToken);
		expect(await first({ modelPath: folder })).toEqual(last);
		expect(await first({ modelPath: folder, embeddingPooling: "mean" })).toEqual(mean);
	});

	it.each([{ pooling_mode_cls_token: true }, { ...lastToken, pooling_mode_mean_tokens: true }, {}])(
		"is refused by name when the engine has it not: %j",
		async (config) => {
			const engine = createEmbeddedEngine({ modelPath: await save(config), numKvBlocks: 16 });
			await expect(engine.start()).rejects.toMatchObject({
				code: "MODEL_FORMAT",
				message: expect.stringContaining("1_Pooling"),
			});
			await engine.close();
		},
	);
});
