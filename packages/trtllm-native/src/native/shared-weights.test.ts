// SPDX-License-Identifier: Apache-2.0
import { rmSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ropeFrequencies } from "../model/rope-frequencies.js";
import { blockRange, randomTokens, share } from "./__fixtures__/steps.js";
import { buildNative, FAMILIES, tinyModel } from "./__fixtures__/tiny-model.js";
import { loadNativeBinding } from "./loader.js";
import { createNativeBackends } from "./native-backend.js";

buildNative();
const LIMITS = { numKvBlocks: 4, maxSequences: 2, maxBatchedTokens: 64, threads: 2 };
const tokens = randomTokens(40, FAMILIES.llama.vocabSize, 5);

describe("backends over one copy of the weights", () => {
	it("compute the same side by side, and after another one was closed", async () => {
		const { weights, dispose } = tinyModel(FAMILIES.llama, "Q4_1");
		const backends = await createNativeBackends({ weights, ...LIMITS }, 3);
		dispose();
		const steps = (backend: (typeof backends)[number]) =>
			backend.step([share(0, tokens, 0, blockRange(0, 2))]).then(() => backend.logits(0).slice());
		const [first, second, third] = await Promise.all(backends.map(steps));
		expect(second).toEqual(first);
		expect(third).toEqual(first);
		await backends[0]!.close();
		expect(await steps(backends[2]!)).toEqual(first);
		await Promise.all(backends.map((backend) => backend.close()));
	});

	it("read the checkpoint once", async () => {
		const { weights, dispose } = tinyModel(FAMILIES.llama);
		const { spec, tensors } = weights;
		const own = { ...LIMITS, maxDrafts: 0, f32: false, isa: null, inverseFrequencies: ropeFrequencies(spec) };
		const engine = new (loadNativeBinding().NativeEngine)({ ...own, spec, tensors });
		expect(() => engine.share({ ...own, spec, tensors })).toThrow(/not loaded/);
		const { weightBytes } = await engine.load();
		dispose();
		const other = engine.share({ ...own, spec, tensors: [] });
		expect((await other.load()).weightBytes).toBe(weightBytes);
		engine.close();
		const [header, blocks] = [Uint32Array.of(0, 0, tokens.length, 2, 2, 0, 0, 0, 0), blockRange(0, 2)];
		expect((await other.step(header, tokens, blocks, new Uint32Array(), 1, 0)).cancelled).toBe(false);
		other.close();
	});

	it("fail together when the checkpoint cannot be read, and leave no thread", async () => {
		const { weights, file, dispose } = tinyModel(FAMILIES.llama);
		rmSync(file);
		await expect(createNativeBackends({ weights, ...LIMITS }, 2)).rejects.toMatchObject({
			code: "MODEL_FORMAT",
		});
		dispose();
	});
});
