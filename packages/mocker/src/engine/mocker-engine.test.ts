// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { conformanceCases } from "@dyn/engine/conformance";
import {
	createGenerateRequest,
	type EngineOutput,
	type GenerateRequestInit,
	type KvEvent,
	type KvSession,
} from "@dyn/protocols";
import { afterEach, describe, expect, it } from "vitest";
import { createMockerEngine, type MockerEngine } from "./mocker-engine.js";
import type { MockerEngineOptions } from "./mocker-options.js";

const engines: MockerEngine[] = [];
afterEach(async () => {
	await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

async function started(options: MockerEngineOptions = {}): Promise<MockerEngine> {
	const engine = createMockerEngine({ speedupRatio: 0, ...options });
	engines.push(engine);
	await engine.start();
	return engine;
}

async function ask(
	engine: MockerEngine,
	init: Partial<GenerateRequestInit> = {},
	signal?: AbortSignal,
): Promise<EngineOutput[]> {
	const outputs: EngineOutput[] = [];
	const request = createGenerateRequest({ tokenIds: PROMPT, ...init, stop: { maxTokens: 8, ...init.stop } });
	for await (const output of engine.generate(request, createRequestContext(signal ? { signal } : {})))
		outputs.push(output);
	return outputs;
}

const PROMPT = Array.from({ length: 100 }, (_, i) => 5 + i);
const tokensOf = (outputs: readonly EngineOutput[], index = 0) =>
	outputs.filter((output) => output.index === index).flatMap(({ tokenIds }) => tokenIds);

describe.each([1, 2])("with %i ranks it keeps the Engine contract", (dpSize) => {
	for (const each of conformanceCases) {
		// Of several ranks' events only each rank's own are numbered without gaps.
		if (dpSize > 1 && each.name.startsWith("numbers KV events")) continue;
		it(each.name, async () => {
			const engine = createMockerEngine({ speedupRatio: 0, vocabSize: 1000, maxModelLen: 1024, dpSize });
			engines.push(engine);
			await each.run({ engine, info: await engine.start() });
		});
	}
});

describe("bad words", () => {
	it("do not come about, alone or behind others, nor through a logits processor", async () => {
		const engine = await started({
			vocabSize: 140,
			logitsProcessors: { same: () => ({ process() {} }) },
		});
		const stop = { maxTokens: 60, ignoreEos: true };
		const free = tokensOf(await ask(engine, { stop, sampling: { temperature: 0 } }));
		const badWords = [[free[0]!], free.slice(1, 3), [...PROMPT.slice(-2), free[1]!]];
		for (const logitsProcessors of [[], [{ name: "same", args: null }]]) {
			const answer = tokensOf(
				await ask(engine, { stop, sampling: { temperature: 0, badWords }, logitsProcessors }),
			);
			expect(answer).toHaveLength(60);
			expect(answer).not.toContain(free[0]);
			expect(answer.join()).not.toContain(free.slice(1, 3).join());
			expect(answer[0]).not.toBe(free[1]);
		}
		const all = Array.from({ length: 139 }, (_, id) => [id]);
		expect(new Set(tokensOf(await ask(engine, { stop, sampling: { badWords: all } })))).toEqual(
			new Set([139]),
		);
		await expect(ask(engine, { sampling: { badWords: [...all, [139]] } })).rejects.toThrow("leaves no token");
	});
});

describe("tokens", () => {
	it("are the same in every engine, for a context and a seed", async () => {
		const sampling = { temperature: 1, seed: 7 };
		const one = tokensOf(await ask(await started(), { sampling }));
		const other = tokensOf(
			await ask(await started({ blockSize: 4, maxNumBatchedTokens: 16, maxNumSeqs: 4 }), { sampling }),
		);
		expect(one).toEqual(other);
		expect(tokensOf(await ask(await started(), { sampling: { ...sampling, seed: 8 } }))).not.toEqual(one);
	});

	it("differ between the choices of a request", async () => {
		const outputs = await ask(await started(), { sampling: { n: 3, temperature: 1, seed: 1 } });
		const texts = [0, 1, 2].map((index) => String(tokensOf(outputs, index)));
		expect(new Set(texts).size).toBe(3);
	});

	it("never end an answer by themselves, unless a bias says so", async () => {
		const engine = await started({ vocabSize: 128, eosTokenIds: [2] });
		expect((await ask(engine, { stop: { maxTokens: 300 } })).at(-1)?.finishReason).toBe("length");
		const ended = await ask(engine, { sampling: { temperature: 0, logitBias: new Map([[2, 100]]) } });
		expect(ended.at(-1)).toMatchObject({ finishReason: "eos", stopTokenId: 2 });
	});

	it("survive preemption", async () => {
		const preemptions: number[] = [];
		const roomy = await started();
		const tight = await started({
			blockSize: 4,
			numGpuBlocks: 60,
			onIteration: (stats) => preemptions.push(stats.preemptions),
		});
		const prompts = [0, 1, 2].map((k) => PROMPT.slice(0, 50).map((id) => id + 200 * k));
		const answers = (engine: MockerEngine) =>
			Promise.all(
				prompts.map(async (tokenIds) =>
					tokensOf(await ask(engine, { tokenIds, sampling: { temperature: 0 }, stop: { maxTokens: 60 } })),
				),
			);
		expect(await answers(tight)).toEqual(await answers(roomy));
		expect(preemptions.at(-1)).toBeGreaterThan(0);
	});
});

describe("data-parallel ranks", () => {
	it("take the requests that name them, and report apart", async () => {
		const engine = await started({ dpSize: 2 });
		const events: KvEvent[] = [];
		const reading = (async () => {
			for await (const event of engine.kvEvents()) events.push(event);
		})();
		await ask(engine, { routing: { dpRank: 1 } });
		expect(engine.load().map(({ dpRank, cachedKvBlocks }) => [dpRank, cachedKvBlocks > 0])).toEqual([
			[0, false],
			[1, true],
		]);
		await engine.close();
		await reading;
		expect(events.length).toBeGreaterThan(0);
		expect(events.every(({ dpRank }) => dpRank === 1)).toBe(true);
	});

	it("share the rest, the least loaded first", async () => {
		const engine = await started({ dpSize: 2 });
		engine.faults.hang();
		const answers = [0, 1, 2, 3].map(() => ask(engine));
		await new Promise((resolve) => setImmediate(resolve));
		await new Promise((resolve) => setImmediate(resolve));
		const sequences = engine.load().map((load) => load.runningSequences + load.waitingSequences);
		expect(sequences).toEqual([2, 2]);
		engine.faults.recover();
		await Promise.all(answers);
	});

	it("refuse a rank that there is not", async () => {
		await expect(ask(await started({ dpSize: 2 }), { routing: { dpRank: 2 } })).rejects.toThrow(
			"ranks 0 to 1",
		);
	});
});

describe("prefill and decode apart", () => {
	const prefill = async (engine: MockerEngine, init: Partial<GenerateRequestInit> = {}): Promise<KvSession> =>
		(await ask(engine, { ...init, disaggregation: { role: "prefill" } })).at(-1)!.kvSession!;

	it("answer like one engine, also after the session travelled as JSON", async () => {
		const [whole, first, second] = [await started(), await started(), await started()];
		const init = { sampling: { temperature: 1, seed: 3 }, output: { logprobs: 2 } };
		const session = JSON.parse(JSON.stringify(await prefill(first, init))) as KvSession;
		expect(session.attributes["mocker_ttft_ms"]).toBe(12.5);
		const expected = await ask(whole, init);
		const outputs = await ask(second, { ...init, disaggregation: { role: "decode", session } });
		expect(tokensOf(outputs)).toEqual(tokensOf(expected));
		expect(outputs.flatMap(({ logprobs }) => logprobs)).toEqual(expected.flatMap(({ logprobs }) => logprobs));
		expect(outputs.at(-1)!.usage).toEqual(expected.at(-1)!.usage);
	});

	it("end after one token when only one is wanted", async () => {
		const session = await prefill(await started());
		const outputs = await ask(await started(), {
			stop: { maxTokens: 1 },
			disaggregation: { role: "decode", session },
		});
		expect(outputs).toMatchObject([
			{ finishReason: "length", usage: { promptTokens: 100, completionTokens: 1 } },
		]);
	});

	it("hold the prompt's blocks until they are collected", async () => {
		const [first, second] = [await started(), await started()];
		const session = await prefill(first);
		expect(first.load()[0]!.activeKvBlocks).toBe(3);
		await ask(second, { disaggregation: { role: "decode", session } });
		expect(first.load()[0]!.activeKvBlocks).toBe(0);
		expect(second.load()[0]!.activeKvBlocks).toBe(0);
	});

	it("let go of what nobody collects at the deadline", async () => {
		const engine = await started({ kvTransferDeadlineMs: 20 });
		await prefill(engine);
		expect(engine.load()[0]!.activeKvBlocks).toBe(3);
		await expect.poll(() => engine.load()[0]!.activeKvBlocks).toBe(0);
	});

	it.each<[string, (session: KvSession) => object]>([
		["another backend", () => ({ transferBackend: "NIXL" })],
		["no endpoint", () => ({ endpoints: [] })],
		[
			"an id that became a number",
			({ attributes }) => ({ attributes: { ...attributes, mocker_request_id: 1 } }),
		],
		[
			"a fraction that was rounded",
			({ attributes }) => ({ attributes: { ...attributes, mocker_ttft_ms: 12 } }),
		],
		[
			"a list that became a text",
			({ attributes }) => ({ attributes: { ...attributes, mocker_first_gen_tokens: "[1]" } }),
		],
		["another prompt", ({ attributes }) => ({ attributes: { ...attributes, mocker_prompt_tokens: 99 } })],
	])("refuse a session with %s", async (_, change) => {
		const session = await prefill(await started());
		const error = await ask(await started(), {
			disaggregation: { role: "decode", session: { ...session, ...change(session) } },
		}).catch((reason) => reason);
		expect(DynError.is(error, "INVALID_ARGUMENT")).toBe(true);
	});
});

describe("faults", () => {
	it("hang at a step, and recover", async () => {
		const engine = await started();
		engine.faults.hang(3);
		const items: EngineOutput[] = [];
		const answer = (async () => {
			for await (const item of engine.generate(
				createGenerateRequest({ tokenIds: PROMPT, stop: { maxTokens: 5 } }),
				createRequestContext(),
			))
				items.push(item);
		})();
		await expect.poll(() => engine.faults.iteration).toBe(3);
		expect(tokensOf(items)).toHaveLength(2);
		engine.faults.recover();
		await answer;
		expect(tokensOf(items)).toHaveLength(5);
	});

	it("close although a step hangs", async () => {
		const engine = await started();
		engine.faults.hang();
		const answer = ask(engine);
		await expect.poll(() => engine.faults.iteration).toBe(1);
		await engine.close();
		expect((await answer).at(-1)?.finishReason).toBe("cancelled");
	});

	it("die, for good", async () => {
		const engine = await started();
		engine.faults.die("a test");
		await expect(ask(engine)).rejects.toThrow("a test");
		expect(engine.health()).toMatchObject({ status: "dead" });
	});

	it("refuse requests", async () => {
		const engine = await started();
		engine.faults.refuse();
		await expect(ask(engine)).rejects.toMatchObject({ code: "OVERLOADED" });
		engine.faults.recover();
		expect(tokensOf(await ask(engine))).toHaveLength(8);
	});

	it("drop streams", async () => {
		const engine = await started();
		engine.faults.dropStreams(2);
		const outputs = await ask(engine, { stop: { maxTokens: 400 } });
		expect(outputs).toHaveLength(2);
		expect(outputs.at(-1)!.finishReason).toBeNull();
		await expect.poll(() => engine.load()[0]!.activeKvBlocks).toBe(0);
	});

	it("slow every step down", async () => {
		const engine = await started();
		engine.faults.slow(10);
		const began = performance.now();
		await ask(engine, { stop: { maxTokens: 5 } });
		expect(performance.now() - began).toBeGreaterThan(45);
	});
});

it("remembers the tokens of the blocks that it reports", async () => {
	const engine = await started({ remembersTokens: true });
	const known: (number[] | undefined)[] = [];
	const reading = (async () => {
		for await (const { data } of engine.kvEvents())
			if (data.type === "stored")
				for (const { tokensHash } of data.blocks) known.push([...(engine.tokensOf(tokensHash) ?? [])]);
	})();
	const answer = tokensOf(await ask(engine, { stop: { maxTokens: 40 } }));
	await engine.close();
	await reading;
	expect(known.flat()).toEqual([...PROMPT, ...answer].slice(0, known.length * 32));
	expect(known).toHaveLength(4);
});
