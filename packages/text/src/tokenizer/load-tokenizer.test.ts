// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadTokenizer } from "./load-tokenizer.js";

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-text-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("loadTokenizer", () => {
	it("says what is missing", async () => {
		await expect(loadTokenizer(join(folder, "none"))).rejects.toThrow(/NOT_FOUND.*none/);
		await expect(loadTokenizer(folder)).rejects.toThrow(/MODEL_FORMAT/);
	});

	it("names the file that is no JSON", async () => {
		await writeFile(join(folder, "tokenizer.json"), "{");
		await expect(loadTokenizer(folder)).rejects.toThrow(/MODEL_FORMAT.*tokenizer.json is not readable JSON/);
	});

	it("passes on what the native tokenizer objects to", async () => {
		const Split = { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated", invert: false };
		const document = {
			pre_tokenizer: Split,
			model: { vocab: { a: 0 }, merges: [] },
			decoder: { type: "ByteLevel" },
		};
		await writeFile(join(folder, "tokenizer.json"), JSON.stringify(document));
		await expect(loadTokenizer(folder)).rejects.toThrow(/MODEL_FORMAT.*tokenizer.json: .*Oniguruma/);
	});
});
