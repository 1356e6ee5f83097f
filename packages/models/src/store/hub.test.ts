// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createModelStore, type ModelStore } from "./model-store.js";

const weights = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
const sha256 = createHash("sha256").update(weights).digest("hex");
const config = Buffer.from('{"model_type":"llama"}');

let folder: string;
let close: () => Promise<void>;
let endpoint: string;
/** What the hub does with the n-th request for the weights; false: serve it properly. */
let misbehave: (request: IncomingMessage, response: ServerResponse, attempt: number) => boolean;
let announcedSha: string;
let requests: string[];

beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), "dyn-store-"));
	misbehave = () => false;
	announcedSha = sha256;
	requests = [];
	let attempt = 0;
	const server = createServer((request, response) => {
		requests.push(`${request.url} ${request.headers.range ?? ""}`.trim());
		if (request.url!.startsWith("/api/models/org/name/")) {
			const siblings = [
				{ rfilename: "config.json", size: config.length },
				{ rfilename: "model.safetensors", size: weights.length, lfs: { sha256: announcedSha } },
				{ rfilename: "../../escape.json", size: 1 },
				{ rfilename: "README.md", size: 10 },
			];
			return void response.end(JSON.stringify({ sha: "c0ffee", siblings }));
		}
		if (request.url === "/org/name/resolve/c0ffee/config.json") return void response.end(config);
		if (request.url !== "/org/name/resolve/c0ffee/model.safetensors")
			return void response.writeHead(404).end();
		if (misbehave(request, response, attempt++)) return;
		const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? "")?.[1] ?? 0);
		if (from > 0)
			response.writeHead(206, { "content-range": `bytes ${from}-${weights.length - 1}/${weights.length}` });
		response.end(weights.subarray(from));
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
	close = () =>
		new Promise((resolve) => {
			server.close(() => resolve());
			server.closeAllConnections();
		});
});
afterEach(async () => {
	await close();
	rmSync(folder, { recursive: true, force: true });
});

const store = (options = {}): ModelStore =>
	createModelStore({
		directory: join(folder, "models"),
		huggingFaceHome: join(folder, "hf"),
		huggingFaceEndpoint: endpoint,
		retryDelayMs: () => 1,
		...options,
	});
const pull = (options = {}) => store(options).resolve("org/name", { pull: true });
const weightsOf = (path: string) => readFileSync(join(path, "model.safetensors"));

describe("pulling from a hub", () => {
	it("fetches what serving needs and nothing else, once", async () => {
		const { path, source } = await pull();
		expect(source).toBe("store");
		expect(weightsOf(path).equals(weights)).toBe(true);
		expect(existsSync(join(path, "README.md"))).toBe(false);
		expect(existsSync(join(folder, "escape.json"))).toBe(false);
		const before = requests.length;
		expect((await pull()).path).toBe(path);
		expect(requests.length).toBe(before);
		expect((await store().list()).map(({ id }) => id)).toEqual(["org/name"]);
		await store().remove("org/name");
		expect(await store().list()).toEqual([]);
	});

	it("goes on where a dropped connection stopped", async () => {
		misbehave = (_request, response, attempt) => {
			if (attempt > 1) return false;
			response.writeHead(200, { "content-length": weights.length });
			response.write(weights.subarray(0, 100_000 * (attempt + 1)), () =>
				setImmediate(() => response.destroy()),
			);
			return true;
		};
		misbehave = (
			(original) => (request, response, attempt) =>
				request.headers.range ? false : original(request, response, attempt)
		)(misbehave);
		const { path } = await pull();
		expect(weightsOf(path).equals(weights)).toBe(true);
		expect(requests.some((line) => /safetensors bytes=\d+-/.test(line))).toBe(true);
	});

	it("does not believe a short answer", async () => {
		misbehave = (_request, response, attempt) => {
			if (attempt > 0) return false;
			response.end(weights.subarray(0, 1000));
			return true;
		};
		expect(weightsOf((await pull()).path).equals(weights)).toBe(true);
	});

	it("starts over when the hub ignores ranges", async () => {
		misbehave = (request, response, attempt) => {
			if (attempt === 0)
				response
					.writeHead(200, { "content-length": weights.length })
					.write(weights.subarray(0, 5000), () => setImmediate(() => response.destroy()));
			else response.end(weights);
			return request !== null;
		};
		expect(weightsOf((await pull()).path).equals(weights)).toBe(true);
	});

	it.each([429, 500, 503])("tries again after %i", async (status) => {
		misbehave = (_request, response, attempt) => attempt < 2 && Boolean(response.writeHead(status).end());
		expect(weightsOf((await pull()).path).equals(weights)).toBe(true);
	});

	it.each([
		[401, "set HF_TOKEN"],
		[403, "accept its licence"],
		[404, "check the spelling"],
	])("gives up at once on %i and says what to do", async (status, advice) => {
		misbehave = (_request, response) => Boolean(response.writeHead(status).end());
		await expect(pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining(advice),
		});
		expect(requests.filter((line) => line.includes("safetensors"))).toHaveLength(1);
	});

	it("refuses weights with another checksum and keeps nothing of them", async () => {
		announcedSha = "0".repeat(64);
		await expect(pull()).rejects.toMatchObject({ code: "CHECKSUM_MISMATCH" });
		expect(await store().list()).toEqual([]);
		announcedSha = sha256;
		expect(weightsOf((await pull()).path).equals(weights)).toBe(true);
	});

	it("says what to do when there is no network", async () => {
		await close();
		await expect(pull()).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining("check the network"),
		});
		close = async () => {};
	});

	it("pulls once for two that want it at the same time", async () => {
		const [first, second] = await Promise.all([pull(), pull()]);
		expect(first.path).toBe(second.path);
		expect(requests.filter((line) => line.includes("safetensors"))).toHaveLength(1);
	});

	it("takes over the lock of a process that died", async () => {
		mkdirSync(join(folder, "models"), { recursive: true });
		writeFileSync(
			join(folder, "models", ".org%2Fname.lock"),
			JSON.stringify({ pid: 2 ** 22 + 1, host: (await import("node:os")).hostname() }),
		);
		expect(weightsOf((await pull()).path).equals(weights)).toBe(true);
	});
});

describe("finding models", () => {
	it("obeys offline mode, but uses the Hugging Face cache", async () => {
		await expect(pull({ offline: true })).rejects.toMatchObject({ code: "OFFLINE" });
		const snapshot = join(folder, "hf/hub/models--org--name/snapshots/abc");
		mkdirSync(snapshot, { recursive: true });
		mkdirSync(join(folder, "hf/hub/models--org--name/refs"), { recursive: true });
		writeFileSync(join(folder, "hf/hub/models--org--name/refs/main"), "abc");
		writeFileSync(join(snapshot, "config.json"), "{}");
		writeFileSync(join(snapshot, "model.safetensors"), "");
		expect(await pull({ offline: true })).toMatchObject({ path: snapshot, source: "hugging-face-cache" });
	});

	it("takes local files as they are and says what a name could have been", async () => {
		const file = join(folder, "mine.gguf");
		writeFileSync(file, "GGUF");
		expect(await store().resolve(file)).toMatchObject({ id: "mine", path: file, source: "local" });
		await expect(store().resolve("no-such-model")).rejects.toThrow(
			"no packaged model (smollm2-135m-instruct)",
		);
		await expect(store().resolve("org/name")).rejects.toThrow("dyn-worker model pull org/name");
		await expect(store().remove("org/name")).rejects.toMatchObject({ code: "NOT_FOUND" });
	});

	it.each([
		[["no-such-python-program"], "install Python 3 with pip"],
		[
			[
				process.execPath,
				"-e",
				"console.error('ERROR: No matching distribution found'); process.exit(1)",
				"--",
			],
			"No matching distribution",
		],
		[[process.execPath, "-e", "console.error('No module named pip'); process.exit(1)", "--"], "install pip"],
		[[process.execPath, "-e", "", "--"], "downloaded no wheel"],
		[
			[
				process.execPath,
				"-e",
				"require('fs').writeFileSync(process.argv[process.argv.indexOf('--dest') + 1] + '/x.whl', 'not a zip')",
				"--",
			],
			"not a ZIP file",
		],
	])("explains a pip that fails: %j", async (pip, message) => {
		await expect(store({ pip }).resolve("smollm2-135m-instruct", { pull: true })).rejects.toMatchObject({
			code: "MODEL_UNAVAILABLE",
			message: expect.stringContaining(message),
		});
	});

	it("explains a folder that cannot be written", async () => {
		writeFileSync(join(folder, "models"), "a file where the folder should be");
		await expect(pull()).rejects.toThrow();
	});
});
