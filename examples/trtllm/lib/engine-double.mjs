// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { freePort } from "./running-story.mjs";

const DOUBLE = join(
	dirname(createRequire(import.meta.url).resolve("@dyn/mocker/package.json")),
	"dist/bin/trtllm-serve-double.js",
);

/**
 * Starts a double of trtllm-serve that belongs to no worker.
 * @param {string} yaml path of its engine arguments
 * @returns {Promise<{ address: string, end: () => Promise<void> }>} `end` throws when it has ended before
 */
export async function startDouble(yaml) {
	const port = await freePort();
	const args = ["--grpc", "--grpc-protocol", "openengine", "--host", "127.0.0.1", "--port", String(port)];
	const child = spawn(
		process.execPath,
		[DOUBLE, "smollm2-135m-instruct", ...args, "--extra_llm_api_options", yaml],
		{ stdio: ["ignore", "ignore", "inherit"] },
	);
	const exited = once(child, "exit");
	process.once("exit", () => child.kill("SIGKILL"));
	return {
		address: `127.0.0.1:${port}`,
		end: async () => {
			assert.equal(child.exitCode ?? child.signalCode, null, "the engine of somebody else has ended");
			child.kill("SIGTERM");
			await exited;
		},
	};
}
