// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { answer, FakeHub, sha256, stallAfter } from "./__fixtures__/fake-hub.js";
import { HubRig, pulledWeights, WEIGHTS, weights } from "./__fixtures__/hub-rig.js";
import type { ModelStoreOptions } from "./model-store.js";

const rig = new HubRig();

describe("what is fetched", () => {
	it("is what serving needs, once", async () => {
		for (const name of ["README.md", "pytorch_model.bin", "onnx/model.onnx", "original/config.json"])
			rig.hub.files.set(name, Buffer.from("x"));
		for (const name of [
			"tokenizer.json",
			"tokenizer_config.json",
			"generation_config.json",
			"chat_template.jinja",
		])
			rig.hub.files.set(name, Buffer.from(name));
		const { path, source, id } = await rig.pull();
		expect([id, source]).toEqual(["org/name", "store"]);
		expect(readdirSync(path).sort()).toEqual([
			"chat_template.jinja",
			"config.json",
			"generation_config.json",
			WEIGHTS,
			"tokenizer.json",
			"tokenizer_config.json",
		]);
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(readdirSync(rig.directory)).toEqual(["org%2Fname"]);

		const before = rig.hub.requests.length;
		expect((await rig.pull()).path).toBe(path);
		expect((await rig.pull({ offline: true })).path).toBe(path);
		expect(rig.hub.requests.length).toBe(before);
		expect((await rig.store().list()).map(({ id, bytes }) => [id, bytes > weights.length])).toEqual([
			["org/name", true],
		]);
		await rig.store().remove("org/name");
		expect(await rig.store().list()).toEqual([]);
		expect(existsSync(path)).toBe(false);
	});

	it("is one GGUF file where one is named, also inside a folder and of a revision", async () => {
		rig.hub.files.set("q4/model-Q4_K.gguf", Buffer.from("GGUF"));
		const { path } = await rig.store().resolve("org/name@refs/pr/1:q4/model-Q4_K.gguf", { pull: true });
		expect(path.endsWith("/q4/model-Q4_K.gguf")).toBe(true);
		expect(readFileSync(path, "utf8")).toBe("GGUF");
		expect(rig.hub.requests).toEqual(["", "q4/model-Q4_K.gguf"]);
		await expect(rig.store().resolve("org/name:other.gguf", { pull: true })).rejects.toThrow(
			"has no file other.gguf",
		);
	});

	it("never leads out of the store, whatever the hub calls its files", async () => {
		for (const name of ["../escape.gguf", "/escape.gguf", "a/../../escape.gguf", "..\\escape.gguf"])
			rig.hub.files.set(name, Buffer.from("x"));
		rig.hub.commit = "../../../escape";
		await expect(rig.pull()).rejects.toThrow("gave no file list");
		rig.hub.commit = "c0ffee";
		await rig.pull();
		expect(readdirSync(rig.folder)).toEqual(["models"]);
		await expect(rig.store().resolve("org/name:../escape.gguf", { pull: true })).rejects.toThrow(
			"there is no model",
		);
	});

	it("must be a checkpoint; GGUF files are suggested", async () => {
		rig.hub.files.delete("config.json");
		rig.hub.files.set("some.gguf", Buffer.from("GGUF"));
		await expect(rig.pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining("for example org/name:some.gguf"),
		});
	});
});

describe("an interrupted pull", () => {
	it("leaves no model and no lock, but what the next one goes on with", async () => {
		const stop = new AbortController();
		const reason = new Error("Ctrl-C");
		rig.misbehave(stallAfter(1000));
		const onProgress: ModelStoreOptions["onProgress"] = ({ file, receivedBytes }) =>
			file === WEIGHTS && receivedBytes === 1000 && stop.abort(reason);
		await expect(rig.pull({ onProgress }, stop.signal)).rejects.toBe(reason);
		expect(await rig.store().list()).toEqual([]);
		expect(readdirSync(rig.directory)).toEqual([".unfinished-org%2Fname"]);

		expect(pulledWeights((await rig.pull()).path).equals(weights)).toBe(true);
		expect(rig.hub.requests).toEqual(["", "config.json", WEIGHTS, "", `${WEIGHTS} bytes=1000-`]);
		expect(readdirSync(rig.directory)).toEqual(["org%2Fname"]);
	});

	it("can be removed", async () => {
		rig.misbehave(...Array(6).fill(answer(500)));
		await expect(rig.pull()).rejects.toThrow();
		await rig.store().remove("org/name");
		expect(readdirSync(rig.directory)).toEqual([]);
		await expect(rig.store().remove("org/name")).rejects.toMatchObject({ code: "NOT_FOUND" });
	});
});

describe("a token", () => {
	it("is sent to the hub, but not to where the hub redirects", async () => {
		const storage = await new FakeHub().start();
		storage.files.set(WEIGHTS, weights);
		rig.misbehave(answer(302, { location: `${storage.endpoint}/org/name/resolve/c0ffee/${WEIGHTS}` }));
		const { path } = await rig.pull({ huggingFaceToken: "hf_secret" });
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(new Set(rig.hub.headers.map(({ authorization }) => authorization))).toEqual(
			new Set(["Bearer hf_secret"]),
		);
		expect(storage.headers.map(({ authorization }) => authorization)).toEqual([undefined]);
		await storage.close();
	});
});

describe("weights with another checksum", () => {
	it("are refused and nothing is kept of them", async () => {
		rig.hub.checksums.set(WEIGHTS, "0".repeat(64));
		await expect(rig.pull()).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
		expect(await rig.store().list()).toEqual([]);
		rig.hub.checksums.set(WEIGHTS, sha256(weights).toUpperCase());
		expect(pulledWeights((await rig.pull()).path).equals(weights)).toBe(true);
		expect(rig.weightRequests()).toEqual([WEIGHTS, WEIGHTS]);
	});
});

describe("a disk", () => {
	it("that is full gives DISK_FULL at once", async () => {
		const unfinished = join(rig.directory, ".unfinished-org%2Fname", "c0ffee");
		mkdirSync(unfinished, { recursive: true });
		// The device where every write meets a full disk.
		symlinkSync("/dev/full", join(unfinished, "config.json.partial"));
		await expect(rig.pull()).rejects.toMatchObject({
			code: "DISK_FULL",
			message: expect.stringContaining("free some space"),
		});
		expect(rig.hub.requests).toEqual(["", "config.json"]);
	});

	it("where the store cannot be gives MODEL_UNAVAILABLE", async () => {
		writeFileSync(rig.directory, "a file where the folder should be");
		await expect(rig.pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining(`cannot write ${rig.directory}`),
		});
	});
});

describe("a model that was damaged in the store", () => {
	it("is pulled again", async () => {
		const { path } = await rig.pull();
		await rm(join(path, "config.json"));
		expect(await rig.store().list()).toEqual([]);
		expect(pulledWeights((await rig.pull()).path).equals(weights)).toBe(true);
		expect(existsSync(join(path, "config.json"))).toBe(true);
	});
});

describe("two pulls of one model", () => {
	it("download it once", async () => {
		const [first, second] = await Promise.all([rig.pull(), rig.pull()]);
		expect(first.path).toBe(second.path);
		expect(rig.weightRequests()).toHaveLength(1);
	});
});
