// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { greedy, tokens } from "../engine/__fixtures__/ask.js";
import { createEmbeddedEngine } from "../engine/embedded-engine.js";
import type { EmbeddedEngineOptions } from "../engine/options.js";
import { checkpointFolder, gguf, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";

const files = checkpointFolder();
afterAll(() => files.dispose());
const WORDS = Array.from({ length: 38 }, (_, id) => `word${id}`);

/** A folder with a tokenizer, and a GGUF file of the same model that names the last two ids too. */
let folder: string;
const ggufWith = (words: readonly string[]) => {
	const file = gguf("qwen2");
	return files.saveGguf({ ...file, metadata: { ...file.metadata, "tokenizer.ggml.tokens": [...words] } });
};
beforeAll(async () => {
	folder = await files.saveHuggingFace(huggingFace("qwen2"));
	const vocab = Object.fromEntries(WORDS.slice(0, 37).map((word, id) => [word, id]));
	const document = { model: { type: "BPE", vocab }, added_tokens: [{ id: 37, content: "word37" }] };
	writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(document));
});

async function start(options: Partial<EmbeddedEngineOptions>) {
	const engine = createEmbeddedEngine({
		modelPath: folder,
		backend: "reference",
		numKvBlocks: 8,
		...options,
	});
	await engine.start();
	return engine;
}

describe("an engine with a draft model", () => {
	it("answers as one without", async () => {
		const draftModelPath = await ggufWith([...WORDS, "[PAD38]", "[PAD39]"]);
		const [plain, drafting] = [await start({ speculativeMode: "off" }), await start({ draftModelPath })];
		for (const sampling of [{ temperature: 0 }, { temperature: 1, seed: 4 }]) {
			const request = greedy({ tokenIds: [5, 6, 7], sampling, stop: { maxTokens: 80 } });
			expect(await tokens(drafting, request)).toEqual(await tokens(plain, request));
		}
		await Promise.all([plain.close(), drafting.close()]);
	});

	it("refuses one with another vocabulary, and names the difference", async () => {
		const draftModelPath = await ggufWith(WORDS.map((word, id) => (id === 30 ? "other" : word)));
		await expect(start({ draftModelPath })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
			message: expect.stringMatching(/token 30 is "other" there and "word30" here/),
		});
	});

	it.each<[string, Partial<EmbeddedEngineOptions>]>([
		["draftModelPath", { speculativeMode: "draft" }],
		["draftModelPath", { speculativeMode: "off", draftModelPath: "elsewhere" }],
		["speculativeMode", { speculativeMode: "eagle" as "off" }],
		["speculativeTokens", { speculativeTokens: 0 }],
		["speculativeTokens", { speculativeTokens: 65 }],
	])("refuses options that make no sense: %s", async (param, options) => {
		await expect(start(options)).rejects.toMatchObject({ code: "INVALID_ARGUMENT", details: { param } });
	});

	it("says that there is nothing at its path", async () => {
		await expect(start({ draftModelPath: "/nowhere/model.gguf" })).rejects.toMatchObject({
			code: "NOT_FOUND",
		});
	});
});
