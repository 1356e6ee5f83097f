// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createModelStore } from "@dyn/models/store";
import { createEmbeddedEngine, type EmbeddedEngineOptions } from "@dyn/trtllm-native";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FORCED_TOKENS, forcedTokens, LIMITS, type Limits, scoreEngine } from "../reference-score.js";
import { writeBf16Checkpoint } from "./bf16-checkpoint.js";

let gguf: string;
let folder: string;
beforeAll(async () => {
	gguf = (await createModelStore().resolve("smollm2-135m-instruct", { pull: true })).path;
	folder = await mkdtemp(join(tmpdir(), "dyn-bf16-"));
	await writeBf16Checkpoint(gguf, folder);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function expectScore(options: EmbeddedEngineOptions, limits: Limits): Promise<void> {
	const engine = createEmbeddedEngine({ ...options, logitsProcessors: { [FORCED_TOKENS]: forcedTokens } });
	await engine.start();
	try {
		const score = await scoreEngine(engine, limits);
		console.log(JSON.stringify(score));
		expect(score.failures).toEqual([]);
	} finally {
		await engine.close();
	}
}

it("equals the reference in f32 mode", async () => {
	await expectScore({ modelPath: gguf, precision: "f32" }, LIMITS.f32);
});

it("follows the reference as a bf16 safetensors checkpoint", async () => {
	await expectScore({ modelPath: folder }, LIMITS.bf16);
});

it.each(["int8", "int4"] as const)(
	"follows the reference as a bf16 checkpoint quantised to %s", // int4: onto the very grid that the file's weights are on
	async (quantization) => {
		await expectScore({ modelPath: folder, quantization }, LIMITS.quantised);
	},
);

it.each(["avx2", "portable"])(
	"follows the reference on %s kernels, as far as a few tokens tell",
	async (isa) => {
		const tokens = await Promise.all(
			[{ modelPath: gguf, isa }, { modelPath: gguf }].map(async (options) => {
				const engine = createEmbeddedEngine({ ...options, maxSeqLen: 256 });
				await engine.start();
				try {
					return await firstTokens(engine);
				} finally {
					await engine.close();
				}
			}),
		);
		expect(tokens[0]).toEqual(tokens[1]);
	},
);

async function firstTokens(engine: ReturnType<typeof createEmbeddedEngine>): Promise<number[]> {
	const { createRequestContext } = await import("@dyn/common");
	const { createGenerateRequest } = await import("@dyn/protocols");
	const tokens: number[] = [];
	const request = createGenerateRequest({
		tokenIds: [504, 3575, 282, 4649, 314],
		sampling: { temperature: 0 },
		stop: { maxTokens: 12 },
	});
	for await (const { tokenIds } of engine.generate(request, createRequestContext())) tokens.push(...tokenIds);
	return tokens;
}
