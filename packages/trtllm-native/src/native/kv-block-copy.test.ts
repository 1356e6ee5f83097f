// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ForwardBackend } from "../backend/forward-backend.js";
import { createReferenceBackend } from "../backend/reference/reference-backend.js";
import { blockRange, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, type TinyModel, tinyModel } from "./__fixtures__/tiny-model.js";
import { createNativeBackend } from "./native-backend.js";

buildNative();
const LIMITS = { numKvBlocks: 8, maxSequences: 2, maxBatchedTokens: 96, threads: 2 };
let model: TinyModel;
beforeAll(() => {
	model = tinyModel(FAMILIES.llama);
});
afterAll(() => model.dispose());

const backends: readonly [string, () => Promise<ForwardBackend>][] = [
	["native", () => createNativeBackend({ weights: model.weights, ...LIMITS })],
	["reference", () => createReferenceBackend({ weights: model.weights, ...LIMITS })],
];

it.each(backends)(
	"%s: a prompt goes on from blocks that another engine computed, bit for bit",
	async (_, open) => {
		const tokens = randomTokens(70, FAMILIES.llama.vocabSize, 5);
		const [from, to] = [await open(), await open()];
		await from.step([share(0, tokens, 0, blockRange(0, 3))]);
		const expected = from.logits(0).slice();
		for (const [source, target] of [
			[0, 5],
			[1, 2],
		] as const) {
			const data = from.readBlock(source);
			expect(data).toHaveLength(from.info.kvBlockBytes);
			to.writeBlock(target, data);
		}
		await to.step([share(1, tokens.subarray(64), 64, Uint32Array.of(5, 2, 7))]);
		expect(to.logits(1)).toEqual(expected);

		expect(() => to.writeBlock(8, to.readBlock(0))).toThrow("KV block 8 does not exist");
		expect(() => to.readBlock(-1)).toThrow();
		expect(() => to.writeBlock(0, new Uint8Array(3))).toThrow(
			`a KV block has ${to.info.kvBlockBytes} bytes, not 3`,
		);
		await Promise.all([from.close(), to.close()]);
		expect(() => to.readBlock(0)).toThrow(expect.objectContaining({ code: "UNAVAILABLE" }));
	},
);
