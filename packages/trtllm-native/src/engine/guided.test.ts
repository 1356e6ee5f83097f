// SPDX-License-Identifier: Apache-2.0
// Guided answers over the paper backend, whose tokens 1 to 256 are the bytes.
import { createRequestContext } from "@dyn/common";
import {
	createLocalGrammars,
	createVocabulary,
	type GuidedText,
	type GuidedTexts,
} from "@dyn/logits/grammar";
import type { EngineOutput, GenerateRequestInit } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { collect, greedy, text, tokens, tokensOf } from "./__fixtures__/ask.js";
import { paperEngine } from "./__fixtures__/paper-backend.js";
import type { EmbeddedEngineOptions } from "./options.js";

const VOCABULARY = createVocabulary(1000, (id) =>
	id >= 1 && id <= 256 ? Uint8Array.of(id - 1) : new Uint8Array(0),
);

/** Counts the texts that are open, and can keep them waiting. */
class WatchedTexts implements GuidedTexts {
	open_ = 0;
	/** While set, no text that goes on is ready. */
	gate: Promise<void> | null = null;
	readonly #local = createLocalGrammars(VOCABULARY);

	async open(...args: Parameters<GuidedTexts["open"]>): Promise<GuidedText> {
		const inner = await this.#local.open(...args);
		this.open_++;
		let waiting: Promise<void> | null = null;
		let isOpen = true;
		return {
			next: () => (waiting ? null : inner.next()),
			ready: async () => (await waiting) ?? undefined,
			accept: (tokenId) => {
				inner.accept(tokenId);
				waiting =
					this.gate?.then(() => {
						waiting = null;
					}) ?? null;
			},
			close: () => {
				if (isOpen) this.open_--;
				isOpen = false;
				inner.close();
			},
		};
	}

	async close(): Promise<void> {}
}

async function guidedEngine(options: Partial<EmbeddedEngineOptions> = {}) {
	const texts = new WatchedTexts();
	const { engine, backend } = await paperEngine(options, null, { texts, vocabulary: VOCABULARY });
	return { engine, backend, texts };
}

const spelled = (ids: readonly number[]): string => Buffer.from(ids.map((id) => id - 1)).toString();
const spell = (said: string): number[] => Array.from(Buffer.from(said), (byte) => byte + 1);
const answer = (outputs: readonly EngineOutput[], index = 0) => ({
	text: spelled(tokensOf(outputs, index)),
	finishReason: outputs.filter((output) => output.index === index).at(-1)!.finishReason,
});
const regex = (pattern: string, init: Partial<GenerateRequestInit> = {}): GenerateRequestInit => ({
	tokenIds: text(1, 20),
	guided: { kind: "regex", pattern },
	...init,
});

describe("guided answers", () => {
	it("keep to their guide and stop when it lets nothing follow", async () => {
		const { engine, texts } = await guidedEngine();
		const outputs = await collect(engine, greedy(regex("[0-9]{3}(foo|bar)")));
		expect(answer(outputs)).toEqual({
			text: expect.stringMatching(/^[0-9]{3}(foo|bar)$/),
			finishReason: "stop",
		});
		expect(outputs.at(-1)).toMatchObject({ tokenIds: [], usage: { completionTokens: 6 } });
		expect(outputs.filter(({ finishReason }) => finishReason !== null)).toHaveLength(1);
		expect(texts.open_).toBe(0);
	});

	it("satisfy a JSON Schema", async () => {
		const { engine } = await guidedEngine();
		const schema = JSON.stringify({
			type: "object",
			properties: { name: { enum: ["x", "y"] }, age: { type: "integer", minimum: 10, maximum: 99 } },
			required: ["name", "age"],
		});
		const asked = greedy({
			tokenIds: text(2, 40),
			guided: { kind: "json_schema", schema },
			sampling: { temperature: 1, seed: 3 },
			stop: { maxTokens: 400 },
		});
		const { text: said, finishReason } = answer(await collect(engine, asked));
		expect(finishReason).toBe("stop");
		const { name, age } = JSON.parse(said) as { name: string; age: number };
		expect(["x", "y"]).toContain(name);
		expect(age).toBeGreaterThanOrEqual(10);
		expect(age).toBeLessThanOrEqual(99);
	});

	it("end where the guide allows it only, and not before min_tokens", async () => {
		const { engine } = await guidedEngine();
		const end = { ignoreEos: false };
		// The end-of-sequence id 0 wins wherever it may be chosen.
		const eager = { sampling: { logitBias: new Map([[0, 100]]) } };
		const said = async (pattern: string, stop: object) =>
			answer(await collect(engine, greedy(regex(pattern, { ...eager, stop: { ...end, ...stop } }))));
		expect(await said("ab*", {})).toEqual({ text: "a", finishReason: "eos" });
		expect(await said("ab*", { minTokens: 4 })).toEqual({ text: "abbb", finishReason: "eos" });
		expect(await said("ab*", { ignoreEos: true, maxTokens: 7 })).toEqual({
			text: "abbbbbb",
			finishReason: "length",
		});
		expect(await said("abc", { minTokens: 10 })).toEqual({ text: "abc", finishReason: "stop" });
		expect(await said("abcdef", { maxTokens: 2 })).toEqual({ text: "ab", finishReason: "length" });
	});

	it("have a state of their own in each choice", async () => {
		const { engine, texts } = await guidedEngine();
		const outputs = await collect(
			engine,
			greedy(regex("[a-z]{2,9}!", { sampling: { temperature: 1, seed: 5, n: 4 } })),
		);
		const all = [0, 1, 2, 3].map((index) => answer(outputs, index));
		for (const one of all)
			expect(one).toEqual({ text: expect.stringMatching(/^[a-z]{2,9}!$/), finishReason: "stop" });
		expect(new Set(all.map(({ text: said }) => said)).size).toBeGreaterThan(1);
		expect(texts.open_).toBe(0);
	});

	it("go on where another instance left them", async () => {
		const { engine } = await guidedEngine();
		const whole = regex("[0-9]{8}ok", { sampling: { temperature: 1, seed: 8 } });
		const said = tokensOf(await collect(engine, greedy(whole)));
		const resumed = greedy({
			...whole,
			tokenIds: [...whole.tokenIds, ...said.slice(0, 5)],
			resumedTokens: 5,
		});
		expect(tokensOf(await collect(engine, resumed))).toEqual(said.slice(5));
		const astray = greedy({ ...whole, tokenIds: [...whole.tokenIds, ...spell("no")], resumedTokens: 2 });
		await expect(collect(engine, astray)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	});

	it("survive preemption", async () => {
		const roomy = await guidedEngine();
		const tight = await guidedEngine({ numKvBlocks: 8 });
		const asked = [1, 2, 3].map((seed) =>
			greedy(regex("[a-z]{90}!", { tokenIds: text(seed, 20), stop: { maxTokens: 120 } })),
		);
		const expected = await Promise.all(asked.map((one) => tokens(roomy.engine, one)));
		const said = await Promise.all(asked.map((one) => tokens(tight.engine, one)));
		expect(said).toEqual(expected);
		expect(tight.backend.steps.flat().filter(({ position }) => position === 0).length).toBeGreaterThan(3);
		expect(tight.texts.open_).toBe(0);
	});

	it("go through their processors first", async () => {
		const prefersB = () => ({
			process: (_: Uint32Array, logits: Float32Array) => {
				logits[spell("b")[0]!] = 50;
			},
		});
		const only = () => ({
			process: (_: Uint32Array, logits: Float32Array) => {
				logits.fill(-Infinity);
				logits[5] = 0;
			},
		});
		const { engine } = await guidedEngine({ logitsProcessors: { prefersB, only } });
		const asked = (name: string) => greedy(regex("[abc]{4}", { logitsProcessors: [{ name, args: null }] }));
		expect(answer(await collect(engine, asked("prefersB"))).text).toBe("bbbb");
		await expect(collect(engine, asked("only"))).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining(
				"allows only tokens that bad_words, min_tokens or a logits processor forbids",
			),
		});
		expect(engine.health()).toEqual({ status: "healthy" });
	});

	it("keep to bad words too, and end with an error when these leave nothing", async () => {
		const { engine } = await guidedEngine();
		const ask = (badWords: readonly number[][]) =>
			collect(
				engine,
				greedy({ tokenIds: [4], guided: { kind: "choice", choices: ["a", "b"] }, sampling: { badWords } }),
			);
		const [a, b] = [spell("a"), spell("b")];
		const [first, second, none, other] = await Promise.allSettled([ask([a]), ask([b]), ask([a, b]), ask([])]);
		expect(first.status === "fulfilled" && spelled(tokensOf(first.value))).toBe("b");
		expect(second.status === "fulfilled" && spelled(tokensOf(second.value))).toBe("a");
		expect(none).toMatchObject({
			reason: {
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining("tokens that bad_words, min_tokens or a logits processor forbids"),
				details: { param: "guided_choice" },
			},
		});
		expect(other.status).toBe("fulfilled");
	});

	it("are refused when they cannot be honoured, naming the keyword", async () => {
		const { engine, texts } = await guidedEngine();
		const refused = collect(
			engine,
			greedy({
				tokenIds: [4],
				guided: { kind: "json_schema", schema: '{"properties":{"a":{"multipleOf":2}}}' },
			}),
		);
		await expect(refused).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringContaining('"multipleOf" at #/properties/a'),
			details: { param: "response_format" },
		});
		expect(texts.open_).toBe(0);
	});
});

describe("a guide that takes its time", () => {
	async function stalled() {
		const engines = await guidedEngine();
		let open = () => {};
		engines.texts.gate = new Promise((resolve) => {
			open = resolve;
		});
		return { ...engines, open };
	}

	it("does not hold up the others of its batch", async () => {
		const { engine, texts, open } = await stalled();
		const guided = collect(engine, greedy(regex("[0-9]{3}x")));
		const other = greedy({ tokenIds: text(9, 50) });
		const { engine: alone } = await paperEngine();
		expect(await tokens(engine, other)).toEqual(await tokens(alone, other));
		texts.gate = null;
		open();
		expect(answer(await guided)).toEqual({
			text: expect.stringMatching(/^[0-9]{3}x$/),
			finishReason: "stop",
		});
		expect(texts.open_).toBe(0);
	});

	it("can be cancelled", async () => {
		const { engine, texts, backend } = await stalled();
		const controller = new AbortController();
		const context = createRequestContext({ signal: controller.signal });
		const outputs: EngineOutput[] = [];
		for await (const output of engine.generate(greedy(regex("[0-9]{3}x")), context)) {
			outputs.push(output);
			controller.abort();
		}
		expect(outputs.at(-1)).toMatchObject({ finishReason: "cancelled" });
		expect(texts.open_).toBe(0);
		expect(backend.openSlots).toBe(0);
		await engine.close();
	});
});
