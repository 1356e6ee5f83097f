// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { answer, FakeHub, type Misbehaviour, serve, sha256, stallAfter } from "./__fixtures__/fake-hub.js";
import { createModelStore, type ModelStore, type ModelStoreOptions } from "./model-store.js";
import { defaultRetryDelayMs } from "./retry.js";

const WEIGHTS = "model.safetensors";
const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251));

let folder: string;
let directory: string;
let hub: FakeHub;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-hub-"));
	directory = join(folder, "models");
	hub = await new FakeHub().start();
	hub.files.set("config.json", Buffer.from('{"model_type":"llama"}'));
	hub.files.set(WEIGHTS, weights);
	hub.checksums.set(WEIGHTS, sha256(weights));
});
afterEach(async () => {
	await hub.close();
	await rm(folder, { recursive: true });
});

const store = (options: ModelStoreOptions = {}): ModelStore =>
	createModelStore({
		directory,
		huggingFaceHome: join(folder, "hf"),
		huggingFaceEndpoint: hub.endpoint,
		retryDelayMs: () => 1,
		...options,
	});
const pull = (options: ModelStoreOptions = {}, signal?: AbortSignal) =>
	store(options).resolve("org/name", { pull: true, ...(signal ? { signal } : {}) });
const pulledWeights = (path: string) => readFileSync(join(path, WEIGHTS));
const misbehave = (...steps: Misbehaviour[]) => hub.misbehaviours.set(WEIGHTS, steps);
const weightRequests = () => hub.requests.filter((line) => line.startsWith(WEIGHTS));
/** Drops the connection whenever one of these numbers of bytes has arrived. */
const dropAt = (...bytes: number[]): ModelStoreOptions => ({
	onProgress: ({ file, receivedBytes }) => {
		if (file === WEIGHTS && bytes.includes(receivedBytes)) hub.drop();
	},
});

describe("what is fetched", () => {
	it("is what serving needs, once", async () => {
		for (const name of ["README.md", "pytorch_model.bin", "onnx/model.onnx", "original/config.json"])
			hub.files.set(name, Buffer.from("x"));
		for (const name of [
			"tokenizer.json",
			"tokenizer_config.json",
			"generation_config.json",
			"chat_template.jinja",
		])
			hub.files.set(name, Buffer.from(name));
		const { path, source, id } = await pull();
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
		expect(readdirSync(directory)).toEqual(["org%2Fname"]);

		const before = hub.requests.length;
		expect((await pull()).path).toBe(path);
		expect((await pull({ offline: true })).path).toBe(path);
		expect(hub.requests.length).toBe(before);
		expect((await store().list()).map(({ id, bytes }) => [id, bytes > weights.length])).toEqual([
			["org/name", true],
		]);
		await store().remove("org/name");
		expect(await store().list()).toEqual([]);
		expect(existsSync(path)).toBe(false);
	});

	it("is one GGUF file where one is named, also inside a folder and of a revision", async () => {
		hub.files.set("q4/model-Q4_K.gguf", Buffer.from("GGUF"));
		const { path } = await store().resolve("org/name@refs/pr/1:q4/model-Q4_K.gguf", { pull: true });
		expect(path.endsWith("/q4/model-Q4_K.gguf")).toBe(true);
		expect(readFileSync(path, "utf8")).toBe("GGUF");
		expect(hub.requests).toEqual(["", "q4/model-Q4_K.gguf"]);
		await expect(store().resolve("org/name:other.gguf", { pull: true })).rejects.toThrow(
			"has no file other.gguf",
		);
	});

	it("never leads out of the store, whatever the hub calls its files", async () => {
		for (const name of ["../escape.gguf", "/escape.gguf", "a/../../escape.gguf", "..\\escape.gguf"])
			hub.files.set(name, Buffer.from("x"));
		hub.commit = "../../../escape";
		await expect(pull()).rejects.toThrow("gave no file list");
		hub.commit = "c0ffee";
		await pull();
		expect(readdirSync(folder)).toEqual(["models"]);
		await expect(store().resolve("org/name:../escape.gguf", { pull: true })).rejects.toThrow(
			"there is no model",
		);
	});

	it("must be a checkpoint; GGUF files are suggested", async () => {
		hub.files.delete("config.json");
		hub.files.set("some.gguf", Buffer.from("GGUF"));
		await expect(pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining("for example org/name:some.gguf"),
		});
	});
});

describe("a broken connection", () => {
	it("is resumed at the byte where it broke, if the file is still the same", async () => {
		misbehave(stallAfter(1000));
		const { path } = await pull(dropAt(1000));
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`]);
		expect(hub.headers.at(-1)!["if-range"]).toMatch(/^"[0-9a-f]{16}"$/);
	});

	it("may break any number of times as long as there is progress", async () => {
		const steps = Array.from({ length: 15 }, (_, i) => 1000 * (i + 1));
		misbehave(...steps.map(() => stallAfter(1000)));
		expect(pulledWeights((await pull(dropAt(...steps))).path).equals(weights)).toBe(true);
		expect(weightRequests()).toHaveLength(16);
	});

	it("is given up after six tries without progress, saying so; what was fetched stays", async () => {
		misbehave(stallAfter(1000), ...Array(20).fill(answer(500)));
		await expect(pull(dropAt(1000))).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringMatching(
				/in 6 attempts: .* answered 500 .*; check the network and run the same command/,
			),
		});
		hub.misbehaviours.clear();
		await pull();
		expect(weightRequests().at(-1)).toBe(`${WEIGHTS} bytes=1000-`);
	});

	it("starts over when the hub ignores ranges", async () => {
		misbehave(stallAfter(1000), (_request, response, bytes) => Boolean(response.writeHead(200).end(bytes)));
		expect(pulledWeights((await pull(dropAt(1000))).path).equals(weights)).toBe(true);
	});

	it("starts over when the hub finds the range unsatisfiable", async () => {
		misbehave(stallAfter(1000), answer(416));
		expect(pulledWeights((await pull(dropAt(1000))).path).equals(weights)).toBe(true);
		expect(weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`, WEIGHTS]);
	});
});

describe("a file that changes while it is downloaded", () => {
	const changed = Buffer.from(weights).reverse();
	const change = () => {
		hub.files.set(WEIGHTS, changed);
		hub.drop();
	};
	const changeAt1000: ModelStoreOptions = {
		onProgress: ({ receivedBytes }) => receivedBytes === 1000 && change(),
	};
	beforeEach(() => hub.checksums.clear());

	it("is fetched anew, not mixed", async () => {
		misbehave(stallAfter(1000));
		expect(pulledWeights((await pull(changeAt1000)).path).equals(changed)).toBe(true);
	});

	it("is fetched anew also from a hub that heeds Range but not If-Range", async () => {
		misbehave(stallAfter(1000), (request, response, bytes) => {
			delete request.headers["if-range"];
			serve(request, response, bytes);
			return true;
		});
		expect(pulledWeights((await pull(changeAt1000)).path).equals(changed)).toBe(true);
		expect(weightRequests()).toEqual([WEIGHTS, `${WEIGHTS} bytes=1000-`, WEIGHTS]);
	});

	it("is fetched anew when there was neither a strong tag nor a checksum to tell", async () => {
		misbehave((_request, response, bytes) => {
			response
				.writeHead(200, { etag: 'W/"weak"', "content-length": bytes.length })
				.write(bytes.subarray(0, 1000));
			return true;
		});
		expect(pulledWeights((await pull(changeAt1000)).path).equals(changed)).toBe(true);
		expect(weightRequests()).toEqual([WEIGHTS, WEIGHTS]);
	});

	it("is fetched anew with all others when the repository has a new commit", async () => {
		misbehave(stallAfter(1000), ...Array(6).fill(answer(500)));
		await expect(pull(dropAt(1000))).rejects.toThrow("in 6 attempts");
		hub.commit = "decade";
		hub.files.set("config.json", Buffer.from("{}"));
		hub.files.set(WEIGHTS, changed);
		const { path } = await pull();
		expect(readFileSync(join(path, "config.json"), "utf8")).toBe("{}");
		expect(pulledWeights(path).equals(changed)).toBe(true);
		expect(readdirSync(directory)).toEqual(["org%2Fname"]);
	});
});

describe("an interrupted pull", () => {
	it("leaves no model and no lock, but what the next one goes on with", async () => {
		const stop = new AbortController();
		const reason = new Error("Ctrl-C");
		misbehave(stallAfter(1000));
		const onProgress: ModelStoreOptions["onProgress"] = ({ file, receivedBytes }) =>
			file === WEIGHTS && receivedBytes === 1000 && stop.abort(reason);
		await expect(pull({ onProgress }, stop.signal)).rejects.toBe(reason);
		expect(await store().list()).toEqual([]);
		expect(readdirSync(directory)).toEqual([".unfinished-org%2Fname"]);

		expect(pulledWeights((await pull()).path).equals(weights)).toBe(true);
		expect(hub.requests).toEqual(["", "config.json", WEIGHTS, "", `${WEIGHTS} bytes=1000-`]);
		expect(readdirSync(directory)).toEqual(["org%2Fname"]);
	});

	it("can be removed", async () => {
		misbehave(...Array(6).fill(answer(500)));
		await expect(pull()).rejects.toThrow();
		await store().remove("org/name");
		expect(readdirSync(directory)).toEqual([]);
		await expect(store().remove("org/name")).rejects.toMatchObject({ code: "NOT_FOUND" });
	});
});

describe("what a hub says of sizes", () => {
	it("is not believed when the body is shorter", async () => {
		misbehave((_request, response) => {
			response.write(weights.subarray(0, 1000)); // of no announced length
			return Boolean(response.end());
		});
		expect(pulledWeights((await pull()).path).equals(weights)).toBe(true);
		expect(weightRequests()).toHaveLength(2);
	});

	it("must agree with the list before anything is touched", async () => {
		const page = answer(200, { "content-length": "7" }, "a page!");
		misbehave(stallAfter(1000), page);
		expect(pulledWeights((await pull(dropAt(1000))).path).equals(weights)).toBe(true);
		expect(weightRequests().at(-1)).toBe(`${WEIGHTS} bytes=1000-`);
		await store().remove("org/name");
		misbehave(...Array(6).fill(page));
		await expect(pull()).rejects.toThrow("model.safetensors came with 7 bytes instead of 300000");
	});

	it("bounds what is written when the body is longer", async () => {
		let sent = 0;
		misbehave((_request, response) => {
			const more = () => {
				while (!response.destroyed && response.write(weights)) sent++;
			};
			response.on("drain", more);
			more();
			return true;
		});
		await expect(pull()).rejects.toThrow("would get more than its 300000 bytes");
		expect(sent).toBeLessThan(1000);
	});

	it("may be nothing at all", async () => {
		hub.sizeOf = () => undefined;
		hub.checksums.clear();
		hub.files.set("config.json", Buffer.alloc(0));
		misbehave(stallAfter(1000));
		const { path } = await pull(dropAt(1000));
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(readFileSync(join(path, "config.json"))).toHaveLength(0);
	});
});

describe("a hub that refuses", () => {
	it.each([429, 500, 503])("is asked again after %i", async (status) => {
		misbehave(answer(status), answer(status));
		expect(pulledWeights((await pull()).path).equals(weights)).toBe(true);
		expect(weightRequests()).toHaveLength(3);
	});

	it("is heeded when it says how long to wait", async () => {
		const waits: (number | null)[] = [];
		const retryDelayMs = (_attempt: number, askedMs: number | null) => {
			waits.push(askedMs);
			return 0;
		};
		misbehave(
			answer(429, { "retry-after": "7" }),
			answer(503, { "retry-after": "99999" }),
			answer(503, { "retry-after": "Wed, 21 Oct 2015 07:28:00 GMT" }),
			answer(503, { "retry-after": "soon" }),
			answer(503),
		);
		await pull({ retryDelayMs });
		expect(waits).toEqual([7_000, 60_000, 0, null, null]);
	});

	it("is asked again after a growing while when it says nothing", () => {
		expect(defaultRetryDelayMs(0, 7_000)).toBe(7_000);
		for (const [attempt, longest] of [500, 1_000, 2_000, 4_000, 8_000, 8_000].entries()) {
			const delays = Array.from({ length: 50 }, () => defaultRetryDelayMs(attempt, null));
			expect(Math.max(...delays)).toBeLessThanOrEqual(longest);
			expect(Math.min(...delays)).toBeGreaterThanOrEqual(longest * 0.75);
			expect(new Set(delays).size).toBeGreaterThan(1);
		}
	});

	it.each([
		[401, "set HF_TOKEN"],
		[403, "accept its licence"],
		[404, "check the spelling"],
	])("for good with %i is not asked again, and the message helps", async (status, advice) => {
		misbehave(answer(status));
		const refusal = { code: "MODEL_UNAVAILABLE", message: expect.stringContaining(advice) };
		await expect(pull()).rejects.toMatchObject(refusal);
		expect(weightRequests()).toHaveLength(1);
		hub.list = (response) => response.writeHead(status).end();
		await expect(pull()).rejects.toMatchObject(refusal);
		await expect(pull()).rejects.toThrow("org/name");
	});

	it("with a portal's page instead of a list is recognised", async () => {
		hub.list = (response) => response.end("<html>please log in</html>");
		await expect(pull()).rejects.toThrow("is it a Hugging Face hub?");
	});

	it("is given up when it is not there", async () => {
		await hub.close();
		await expect(pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringMatching(/ECONNREFUSED.*check the network/),
		});
		hub = await new FakeHub().start();
	});

	it("is not asked at all in offline mode or without leave to pull", async () => {
		await expect(pull({ offline: true })).rejects.toMatchObject({ code: "OFFLINE" });
		await expect(store().resolve("org/name")).rejects.toThrow("dyn-worker model pull org/name");
		expect(hub.requests).toEqual([]);
	});
});

describe("a token", () => {
	it("is sent to the hub, but not to where the hub redirects", async () => {
		const storage = await new FakeHub().start();
		storage.files.set(WEIGHTS, weights);
		misbehave(answer(302, { location: `${storage.endpoint}/org/name/resolve/c0ffee/${WEIGHTS}` }));
		const { path } = await pull({ huggingFaceToken: "hf_secret" });
		expect(pulledWeights(path).equals(weights)).toBe(true);
		expect(new Set(hub.headers.map(({ authorization }) => authorization))).toEqual(
			new Set(["Bearer hf_secret"]),
		);
		expect(storage.headers.map(({ authorization }) => authorization)).toEqual([undefined]);
		await storage.close();
	});
});

describe("weights with another checksum", () => {
	it("are refused and nothing is kept of them", async () => {
		hub.checksums.set(WEIGHTS, "0".repeat(64));
		await expect(pull()).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
		expect(await store().list()).toEqual([]);
		hub.checksums.set(WEIGHTS, sha256(weights).toUpperCase());
		expect(pulledWeights((await pull()).path).equals(weights)).toBe(true);
		expect(weightRequests()).toEqual([WEIGHTS, WEIGHTS]);
	});
});

describe("a disk", () => {
	it("that is full gives DISK_FULL at once", async () => {
		const unfinished = join(directory, ".unfinished-org%2Fname", "c0ffee");
		mkdirSync(unfinished, { recursive: true });
		// The device where every write meets a full disk.
		symlinkSync("/dev/full", join(unfinished, "config.json.partial"));
		await expect(pull()).rejects.toMatchObject({
			code: "DISK_FULL",
			message: expect.stringContaining("free some space"),
		});
		expect(hub.requests).toEqual(["", "config.json"]);
	});

	it("where the store cannot be gives MODEL_UNAVAILABLE", async () => {
		writeFileSync(directory, "a file where the folder should be");
		await expect(pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining(`cannot write ${directory}`),
		});
	});
});

describe("a model that was damaged in the store", () => {
	it("is pulled again", async () => {
		const { path } = await pull();
		await rm(join(path, "config.json"));
		expect(await store().list()).toEqual([]);
		expect(pulledWeights((await pull()).path).equals(weights)).toBe(true);
		expect(existsSync(join(path, "config.json"))).toBe(true);
	});
});

describe("two pulls of one model", () => {
	it("download it once", async () => {
		const [first, second] = await Promise.all([pull(), pull()]);
		expect(first.path).toBe(second.path);
		expect(weightRequests()).toHaveLength(1);
	});
});
