// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { argmax, logSumExp } from "./kernels.js";
import type { LogitsProcessorFactory } from "./logits-processor.js";
import {
	allowedTokensProcessor,
	bannedTokensProcessor,
	helloWorldProcessor,
	temperatureProcessor,
	tokenBiasProcessor,
} from "./processors.js";
import { createLogitsProcessorRegistry } from "./registry.js";

const row = (factory: LogitsProcessorFactory, args: unknown, ...values: number[]) => {
	const logits = Float32Array.from(values);
	factory(args).process(Uint32Array.of(1), logits);
	return [...logits];
};

describe("built-in processors", () => {
	it("ban tokens, and nothing beyond the vocabulary", () => {
		expect(row(bannedTokensProcessor, { ids: [0, 2, 7] }, 1, 2, 3)).toEqual([-Infinity, 2, -Infinity]);
	});

	it("allow a token named twice", () => {
		expect(row(allowedTokensProcessor, { ids: [1, 1] }, 3, 4)).toEqual([-Infinity, 4]);
	});

	it("leave what was banned banned", () => {
		expect(row(temperatureProcessor, { temperature: 0.5 }, 1, -Infinity)).toEqual([2, -Infinity]);
		expect(row(tokenBiasProcessor, { bias: { 0: -1, 1: 50 } }, 1, -Infinity)).toEqual([0, -Infinity]);
		expect(row(allowedTokensProcessor, { ids: [0, 1] }, 1, -Infinity)).toEqual([1, -Infinity]);
	});

	it("put an answer where there was no choice: it beats any logit and has probability 1", () => {
		const forced = Float32Array.from(row(helloWorldProcessor([1]), null, 1000, -1000));
		expect([argmax(forced), logSumExp(forced)]).toEqual([1, 0]);
	});

	it.each<[string, LogitsProcessorFactory, unknown]>([
		["a temperature of text", temperatureProcessor, { temperature: "1" }],
		["a temperature that is no number", temperatureProcessor, { temperature: Number.NaN }],
		["a list of biases", tokenBiasProcessor, { bias: [] }],
		["no bias", tokenBiasProcessor, { bias: {} }],
		["a bias that is no number", tokenBiasProcessor, { bias: { 1: Number.NaN } }],
		["a bias of text", tokenBiasProcessor, { bias: { 1: "5" } }],
		["a bias for the empty id", tokenBiasProcessor, { bias: { "": 1 } }],
		["a bias for a fraction of a token", tokenBiasProcessor, { bias: { "1.5": 1 } }],
		["ids of text", allowedTokensProcessor, { ids: ["1"] }],
		["fractions of ids", bannedTokensProcessor, { ids: [0.5] }],
		["nothing banned", bannedTokensProcessor, undefined],
	])("refuse %s", (_, factory, args) => {
		expect(() => factory(args)).toThrow(TypeError);
	});

	it("refuse an empty answer", () => {
		expect(() => helloWorldProcessor([])).toThrow(TypeError);
	});
});

describe("a registry", () => {
	it("knows its own names only, not those that every object has", () => {
		const registry = createLogitsProcessorRegistry({ ban: bannedTokensProcessor });
		expect(registry.names).toEqual(["ban"]);
		for (const name of ["constructor", "toString", "__proto__"])
			expect(() => registry.create([{ name, args: null }])).toThrow(
				`logits processor ${name}: no such processor`,
			);
	});
});

describe("argmax", () => {
	it("does not take NaN for the largest", () => {
		expect(argmax(Float32Array.of(Number.NaN, 1, 2))).toBe(2);
		expect(argmax(new Float32Array(0))).toBe(0);
	});
});
