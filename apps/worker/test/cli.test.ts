// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { MODEL, ServerProcess } from "./server-process.js";

const cli = fileURLToPath(new URL("../dist/main.js", import.meta.url));

function run(
	args: string[],
	options: { env?: NodeJS.ProcessEnv; input?: string } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
	return new Promise((resolve) => {
		const child = execFile(
			process.execPath,
			[cli, ...args],
			{ env: { ...process.env, ...options.env } },
			(error, stdout, stderr) =>
				resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr }),
		);
		child.stdin!.end(options.input ?? "");
	});
}

describe("usage", () => {
	it("has help for every command, plain when there is no terminal", async () => {
		for (const command of ["run", "worker", "frontend", "chat", "model", "doctor"]) {
			const { code, stdout } = await run([command, "--help"]);
			expect([code, stdout.includes("Examples"), stdout.includes("\u001b")]).toEqual([0, true, false]);
		}
		expect((await run(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
	});

	it.each([
		[["--http-port", "many"], {}, '--http-port must be an integer from 0 to 65535, got "many"'],
		[[], { DYN_HTTP_PORT: "-3" }, "DYN_HTTP_PORT must be an integer"],
		[
			["--engine-dir", "/engines"],
			{},
			"TensorRT-LLM no longer serves prebuilt engines; pass the checkpoint with --model",
		],
		[["--enable-lora"], {}, "--enable-lora needs a --system-port"],
		[["serve"], {}, '"serve" is no command'],
		[["--override-engine-args", "[1]"], {}, "--override-engine-args must be a JSON object"],
		[["--kv-block-size", "64"], {}, "tokens_per_block: 64; it is always 32"],
		[["model", "fetch"], {}, "model needs one of pull, list, path, remove, quantize, not fetch"],
	])("refuses %j %j with exit code 2", async (args, env, message) => {
		const { code, stderr } = await run(args, { env });
		expect(stderr).toContain(message);
		expect(code).toBe(2);
	});

	it("says what to do when the port is taken, before it loads a model", async () => {
		const server = createServer();
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const { port } = server.address() as AddressInfo;
		const { code, stderr } = await run(["--http-port", String(port)]);
		expect([code, stderr]).toEqual([
			2,
			expect.stringContaining(
				`port ${port} is in use; stop what listens there or choose another one with --http-port`,
			),
		]);
		server.close();
	});

	it("says what to do about a model that is not there", async () => {
		expect((await run(["--model", "nowhere", "--http-port", "0"])).stderr).toContain(
			"there is no model nowhere",
		);
		const offline = await run(["--model", "org/name", "--offline", "--http-port", "0"]);
		expect([offline.code, offline.stderr]).toEqual([
			1,
			expect.stringContaining("offline mode forbids a download"),
		]);
	});
});

describe("commands", () => {
	it("lists and finds models", async () => {
		const { stdout } = await run(["model", "path", MODEL]);
		expect(stdout.trim()).toMatch(/SmolLM2-135M-Instruct\.Q4_1\.gguf$/);
		expect((await run(["model", "list"])).stdout).toContain(MODEL);
		expect((await run(["model", "remove", "not-there"])).code).toBe(1);
	});

	it("chats with a running server and in its own process", async () => {
		await using server = await ServerProcess.start();
		const ask = { input: "What is the capital of France?\n" };
		const remote = await run(["chat", "--url", server.address, "--temperature", "0"], ask);
		expect([remote.code, remote.stdout]).toEqual([0, expect.stringContaining("Paris")]);
		expect((await run(["chat", "--temperature", "0"], ask)).stdout).toBe(remote.stdout);
	});

	it("checks the machine", async () => {
		const { code, stdout } = await run(["doctor", "--http-port", "0"]);
		expect([code, stdout]).toEqual([0, expect.stringMatching(/ok {4}native engine: .*portable/)]);
		expect(stdout).toMatch(/^(ok|tip) +kernels: (amx|(avx512|avx2|portable); not amx: )/m);
		const broken = await run(["doctor", "--native-path", "/nowhere.node", "--http-port", "0"]);
		expect([broken.code, broken.stdout]).toEqual([
			1,
			expect.stringContaining("-> npx dyn-trtllm-native-build"),
		]);
	});

	it("serves with the test logits processor, names and limits of its flags", async () => {
		await using server = await ServerProcess.start(
			["--served-model-name", "other", "--max-seq-len", "64", "--system-port", "0"],
			{ DYN_ENABLE_TEST_LOGITS_PROCESSOR: "1" },
		);
		const answer = await (
			await server.post("/v1/completions", { model: "other", prompt: "Say something else:" })
		).json();
		expect(answer).toMatchObject({ choices: [{ text: "Hello world!", finish_reason: "stop" }] });
		const status = /status\s+(http:\S+)\/health/.exec(server.output)![1];
		expect(await (await fetch(`${status}/health`)).json()).toMatchObject({
			status: "ready",
			endpoints: { "dyn://dynamo.backend.generate": "ready" },
		});
		const models = (await (await fetch(`${server.address}/v1/models`)).json()) as { data: object[] };
		expect(models.data).toMatchObject([{ id: "other", context_window: 64 }]);
	});

	it("fails one request when its logits processor does, and no other", async () => {
		await using server = await ServerProcess.start();
		const good = { model: MODEL, prompt: "1, 2, 3,", max_tokens: 8, temperature: 0 };
		const expected = await (await server.post("/v1/completions", good)).json();
		const bad = {
			...good,
			nvext: { logits_processors: [{ name: "allowed-tokens", args: { ids: [9_999_999] } }] },
		};
		const [one, two] = await Promise.all([
			server.post("/v1/completions", bad),
			server.post("/v1/completions", good),
		]);
		expect([one.status, await one.json()]).toMatchObject([
			500,
			{ error: { code: "logits_processor_failed", message: expect.stringContaining("allowed-tokens") } },
		]);
		expect(((await two.json()) as { choices: object }).choices).toEqual(
			(expected as { choices: object }).choices,
		);
	});
});
