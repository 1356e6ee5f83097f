// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createOpenEngineClient } from "@dyn/openengine";
import { expect, it } from "vitest";

const PROGRAM = fileURLToPath(new URL("../dist/bin/trtllm-serve-double.js", import.meta.url));
const start = (...argv: string[]) =>
	spawn(process.execPath, [PROGRAM, ...argv], { stdio: ["ignore", "pipe", "pipe"] });

/** The address that it says it listens on. */
function listening(output: Readable): Promise<string> {
	return new Promise((resolve) => {
		let text = "";
		output.on("data", (chunk) => {
			text += chunk;
			const [, address] = /listening on (\S+)\n/.exec(text) ?? [];
			if (address) resolve(address);
		});
	});
}

it("serves OpenEngine until it is told to stop", async () => {
	const child = start(
		"org/model",
		"--grpc",
		"--grpc-protocol",
		"openengine",
		"--host",
		"127.0.0.1",
		"--port",
		"0",
	);
	const exited = once(child, "exit");
	try {
		const endpoint = await listening(child.stdout);
		const client = await createOpenEngineClient({ endpoint });
		expect(await client.getServerInfo({})).toMatchObject({
			engineName: "tensorrt_llm",
			supportedModels: ["org/model"],
		});
		await client.close();
		child.kill("SIGTERM");
		expect(await exited).toEqual([0, null]);
	} finally {
		child.kill("SIGKILL");
	}
});

it("tells its options and starts nothing when asked for help", async () => {
	const child = start("--help");
	let output = "";
	child.stdout.on("data", (chunk) => {
		output += chunk;
	});
	expect(await once(child, "close")).toEqual([0, null]);
	expect(output).toMatch(/^Usage: trtllm-serve serve .* {2}--grpc-protocol TEXT\n/s);
});

it("exits as click does on what it does not know", async () => {
	const child = start("org/model", "--no-such-option");
	let errors = "";
	child.stderr.on("data", (chunk) => {
		errors += chunk;
	});
	expect(await once(child, "close")).toEqual([2, null]);
	expect(errors).toContain("Usage: trtllm-serve");
});
