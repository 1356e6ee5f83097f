// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { ForwardBackend } from "../backend/forward-backend.js";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import { blockRange, randomTokens, relativeError, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
const LIMITS = { numKvBlocks: 8, maxSequences: 3, maxBatchedTokens: 64, threads: 2 };
const tokens = randomTokens(41, FAMILIES.llama.vocabSize, 5);

/** Hidden states of `tokens` in steps of `chunk`, beside a sequence that decodes. */
async function hidden(backend: ForwardBackend, chunk: number): Promise<Float32Array> {
	const rows: number[] = [];
	for (let at = 0; at < tokens.length; at += chunk) {
		const part = tokens.subarray(at, at + chunk);
		await backend.step([
			share(1, tokens.subarray(at, at + 1), at, blockRange(4, 2), "logits"),
			share(0, part, at, blockRange(0, 2), "hidden"),
		]);
		rows.push(...backend.hidden!(0));
	}
	return Float32Array.from(rows);
}

describe.each(Object.values(FAMILIES))("hidden states of $architecture", (spec) => {
	it("are the reference's, and the same bits in chunks of any size", async () => {
		const { weights, dispose } = tinyModel(spec);
		const reference = await createReferenceBackend({ weights, ...LIMITS });
		const native = await createNativeBackend({ weights, precision: "f32", ...LIMITS });
		const expected = await hidden(reference, 40);
		const actual = await hidden(native, 40);
		expect(actual.length).toBe(tokens.length * spec.hiddenSize);
		expect(relativeError(actual, expected)).toBeLessThan(1e-4);
		for (const chunk of [1, 7, 32]) expect(await hidden(native, chunk)).toEqual(actual);
		await Promise.all([native.close(), reference.close()]);
		dispose();
	});
});

it("are those of the last step only, and only of sequences that asked", async () => {
	const { weights, dispose } = tinyModel(FAMILIES.llama);
	for (const create of [createNativeBackend, createReferenceBackend]) {
		const backend = await create({ weights, ...LIMITS });
		await backend.step([
			share(0, tokens.subarray(0, 3), 0, blockRange(0, 1), "hidden"),
			share(1, tokens.subarray(0, 3), 0, blockRange(1, 1), "logits"),
		]);
		expect(backend.hidden!(0).length).toBe(3 * FAMILIES.llama.hiddenSize);
		expect(() => backend.hidden!(1)).toThrow(/slot 1 has no hidden states/);
		expect(() => backend.logits(0)).toThrow(/slot 0 has no logits/);
		await backend.step([share(1, tokens.subarray(3, 4), 3, blockRange(1, 1))]);
		expect(() => backend.hidden!(0)).toThrow(/slot 0 has no hidden states/);
		expect(() => backend.hidden!(7)).toThrow(/slot 7/);
		await backend.close();
	}
	dispose();
});
