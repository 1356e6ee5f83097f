// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createModelStore, type ModelStore } from "./model-store.js";
import { DEFAULT_MODEL, PACKAGED_MODELS } from "./packaged-models.js";

let folder: string;
let store: ModelStore;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-store-"));
	mkdirSync(join(folder, "models"));
	store = createModelStore({
		directory: join(folder, "models"),
		huggingFaceHome: join(folder, "hf"),
		pip: ["no-such-python"],
	});
});
afterEach(() => rm(folder, { recursive: true }));

describe("a name", () => {
	it("of a local file or folder is that", async () => {
		const file = join(folder, "mine.gguf");
		writeFileSync(file, "GGUF");
		expect(await store.resolve(file)).toEqual({ id: "mine", path: file, source: "local", bytes: 4 });
		const checkpoint = join(folder, "checkpoint");
		mkdirSync(checkpoint);
		await expect(store.resolve(checkpoint)).rejects.toThrow("there is no model");
		writeFileSync(join(checkpoint, "config.json"), "{}");
		expect(await store.resolve(checkpoint)).toMatchObject({
			id: "checkpoint",
			path: checkpoint,
			source: "local",
		});
	});

	it("of a packaged model that was pulled is its file in the store", async () => {
		const file = join(store.directory, DEFAULT_MODEL, PACKAGED_MODELS[DEFAULT_MODEL]!.fileName);
		mkdirSync(join(store.directory, DEFAULT_MODEL));
		await expect(store.resolve(DEFAULT_MODEL)).rejects.toThrow(`dyn-worker model pull ${DEFAULT_MODEL}`);
		writeFileSync(file, "GGUF");
		expect(await store.resolve(DEFAULT_MODEL)).toEqual({
			id: DEFAULT_MODEL,
			path: file,
			source: "store",
			bytes: 4,
		});
		expect((await store.list()).map(({ id }) => id)).toEqual([DEFAULT_MODEL]);
	});

	it("that means nothing is explained", async () => {
		for (const name of ["no-such-model", "models/absent.gguf", "constructor", "__proto__"]) {
			await expect(store.resolve(name, { pull: true })).rejects.toMatchObject({
				code: "MODEL_UNAVAILABLE",
				message: expect.stringMatching(/no packaged model \(smollm2-135m-instruct\)/),
			});
		}
	});
});

describe("removing", () => {
	it.each(["", ".", "..", "../other", "/", "%2e%2e"])(
		"%j is refused: no name reaches outside the store",
		async (name) => {
			writeFileSync(join(folder, "config.json"), "{}");
			writeFileSync(join(folder, "models", "config.json"), "{}");
			mkdirSync(join(folder, "other"));
			writeFileSync(join(folder, "other", "x.gguf"), "GGUF");
			await expect(store.remove(name)).rejects.toMatchObject({ code: "NOT_FOUND" });
			for (const kept of ["config.json", "models/config.json", "other/x.gguf"])
				expect(existsSync(join(folder, kept))).toBe(true);
		},
	);
});

describe("a store", () => {
	it("that does not exist yet is empty", async () => {
		await rm(store.directory, { recursive: true });
		expect(await store.list()).toEqual([]);
	});

	it("lists nothing that it did not put there", async () => {
		mkdirSync(join(store.directory, "%E0%A4%A"));
		mkdirSync(join(store.directory, "stranger"));
		writeFileSync(join(store.directory, "stranger", "config.json"), "{}");
		mkdirSync(join(store.directory, ".unfinished-org%2Fname"));
		expect(await store.list()).toEqual([]);
	});

	it("says why a packaged model cannot be had", async () => {
		await expect(store.resolve(DEFAULT_MODEL, { pull: true })).rejects.toThrow("install Python 3 with pip");
		const offline = createModelStore({ directory: store.directory, offline: true, pip: ["no-such-python"] });
		await expect(offline.resolve(DEFAULT_MODEL, { pull: true })).rejects.toMatchObject({ code: "OFFLINE" });
	});
});
