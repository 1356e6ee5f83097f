// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import {
	allowedTokensProcessor,
	applyProcessors,
	argmax,
	chain,
	createLogitsProcessorRegistry,
	helloWorldProcessor,
	LogitsProcessorError,
	logSumExp,
	softmaxInPlace,
	temperatureProcessor,
	tokenBiasProcessor,
	topK,
} from "./index.js";

const ids = Uint32Array.of(1, 2);
const apply = (processor: { process(ids: Uint32Array, logits: Float32Array): void }, ...values: number[]) => {
	const logits = Float32Array.from(values);
	processor.process(ids, logits);
	return [...logits];
};

describe("kernels", () => {
	it("find the largest, the first of equals", () => {
		expect(argmax(Float32Array.of(1, 3, 3, 2))).toBe(1);
	});
	it("sum exponentials without overflow", () => {
		expect(logSumExp(Float32Array.of(1000, 1000))).toBeCloseTo(1000 + Math.LN2, 4);
		expect(logSumExp(Float32Array.of(-Infinity))).toBe(-Infinity);
	});
	it("turn logits into probabilities", () => {
		const values = Float32Array.of(0, Math.log(3));
		softmaxInPlace(values);
		expect(values[1]).toBeCloseTo(0.75, 6);
	});
	it("take the k largest in order, equals by index, like a full sort", () => {
		const values = Float32Array.from({ length: 500 }, (_, i) => (i * 7919) % 97);
		const sorted = Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b);
		for (const k of [0, 1, 7, 100, 500, 900]) expect([...topK(values, k)]).toEqual(sorted.slice(0, k));
	});
});

describe("processors", () => {
	it("chain in order", () => {
		const edit = (change: (value: number) => number) => ({
			process: (_: Uint32Array, logits: Float32Array) => logits.set(logits.map(change)),
		});
		const [double, addOne] = [edit((value) => value * 2), edit((value) => value + 1)];
		expect(apply(chain(double, addOne), 1)).toEqual([3]);
		expect(apply(chain(addOne, double), 1)).toEqual([4]);
	});
	it("divide by a temperature", () => {
		expect(apply(temperatureProcessor({ temperature: 2 }), 4, -2)).toEqual([2, -1]);
	});
	it("bias and allow tokens, ignoring ids outside the vocabulary", () => {
		expect(apply(tokenBiasProcessor({ bias: { 1: 5, 99: 1 } }), 0, 0)).toEqual([0, 5]);
		expect(apply(allowedTokensProcessor({ ids: [1, 99] }), 3, 4)).toEqual([-Infinity, 4]);
	});
	it("force hello world, then the end, with a fresh count per instance", () => {
		const factory = helloWorldProcessor([2, 1]);
		const processor = factory(null);
		const chosen = [0, 1, 2].map(() => argmax(Float32Array.from(apply(processor, 9, 0, 0))));
		expect(chosen).toEqual([2, 1, 1]);
		expect(argmax(Float32Array.from(apply(factory(null), 9, 0, 0)))).toBe(2);
	});
	it.each([
		[temperatureProcessor, { temperature: 0 }],
		[temperatureProcessor, null],
		[tokenBiasProcessor, { bias: { x: 1 } }],
		[tokenBiasProcessor, {}],
		[allowedTokensProcessor, { ids: [] }],
		[allowedTokensProcessor, { ids: [-1] }],
	])("refuse wrong arguments", (factory, args) => {
		expect(() => factory(args)).toThrow(TypeError);
	});
});

describe("registry and adapter", () => {
	const registry = createLogitsProcessorRegistry({
		throws: () => ({
			process() {
				throw new Error("no luck");
			},
		}),
		silence: () => ({ process: (_ids, logits) => void logits.fill(-Infinity) }),
		temperature: temperatureProcessor,
	});
	const run = (name: string, args: unknown = null) =>
		applyProcessors(registry.create([{ name, args }]), ids, Float32Array.of(1, 2));

	it("names a processor that throws, and keeps its error", () => {
		expect(() => run("throws")).toThrow("logits processor throws: no luck");
		const error = (() => {
			try {
				run("throws");
			} catch (thrown) {
				return thrown;
			}
		})();
		expect(error).toBeInstanceOf(LogitsProcessorError);
		expect(error).toMatchObject({ processor: "throws", cause: { message: "no luck" } });
	});
	it("refuses rows with nothing left to choose", () => {
		expect(() => run("silence")).toThrow("no token is left to choose");
	});
	it("names an unknown processor and one that refuses its arguments", () => {
		expect(() => run("nope")).toThrow("no such processor; registered: throws, silence, temperature");
		expect(() => run("temperature", { temperature: -1 })).toThrow(
			"logits processor temperature: temperature must be a number above 0",
		);
	});
	it("serves many rows, each with its own instances", () => {
		const seen: number[] = [];
		const counting = createLogitsProcessorRegistry({
			count: () => {
				let calls = 0;
				return { process: () => void seen.push(++calls) };
			},
		});
		const rows = Array.from({ length: 16 }, () => counting.create([{ name: "count", args: null }]));
		for (const row of rows) applyProcessors(row, ids, Float32Array.of(0));
		expect(seen).toEqual(new Array(16).fill(1));
	});
});
