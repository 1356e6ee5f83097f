// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createOpenEngineClient } from "@dyn/openengine";
import { afterAll, describe, expect, it } from "vitest";
import { DynProcess } from "./dyn-process.js";
import { eventually, MODEL } from "./server-process.js";

const folder = mkdtempSync(join(tmpdir(), "dyn-mocker-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("dyn-worker mocker", () => {
	it("is two workers that a frontend finds", async () => {
		const deployment = ["--file-kv", folder];
		await using workers = await DynProcess.start([
			...["mocker", "--num-workers", "2", "--speedup-ratio", "0", "--grace-period", "0"],
			...deployment,
		]);
		await using frontend = await DynProcess.start(["frontend", "--http-port", "0", ...deployment]);
		expect(workers.output.match(/is served as/g)).toHaveLength(2);
		const complete = async (): Promise<{ usage?: object; choices?: { text: string }[] }> => {
			const response = await fetch(`${frontend.address}/v1/completions`, {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ model: MODEL, prompt: "Hello", max_tokens: 20, temperature: 0 }),
			});
			return (await response.json()) as object;
		};
		await eventually("an answer", async () => (await complete()).choices !== undefined);
		expect(await complete()).toMatchObject({ usage: { completion_tokens: 20 } });
		const texts = await Promise.all([1, 2, 3, 4].map(async () => (await complete()).choices![0]!.text));
		expect(new Set(texts).size).toBe(1);
		workers.kill("SIGTERM");
		expect(await workers.exited).toEqual({ code: 0, signal: null });
	});

	it("is an engine server", async () => {
		await using server = await DynProcess.start([
			...["mocker", "--serve", "openengine", "--listen", "127.0.0.1:0", "--model-name", "m"],
		]);
		const endpoint = /at (127\.0\.0\.1:\d+)/.exec(server.output)![1]!;
		const client = await createOpenEngineClient({ endpoint });
		expect(await client.getServerInfo({})).toMatchObject({
			engineName: "tensorrt_llm",
			supportedModels: ["m"],
		});
		client.close();
		server.kill("SIGTERM");
		expect(await server.exited).toEqual({ code: 0, signal: null });
	});

	it("is a server of SMG or HTTP", async () => {
		await using http = await DynProcess.start(["mocker", "--serve", "http", "--listen", "127.0.0.1:0"]);
		expect((await fetch(`${http.address}/health`)).status).toBe(200);
		await using smg = await DynProcess.start(["mocker", "--serve", "smg", "--listen", "127.0.0.1:0"]);
		expect(smg.output).toMatch(/is served as smg at 127\.0\.0\.1:\d+/);
	});
});
