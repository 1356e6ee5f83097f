// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { CLI } from "./commands.mjs";

/** Stock Dynamo on this host only, with the planes that `dyn-worker` has unless told otherwise. */
const STOCK = {
	DYN_REQUEST_PLANE: "tcp",
	DYN_EVENT_PLANE: "zmq",
	DYN_TCP_RPC_HOST: "127.0.0.1",
	DYN_TCP_RESPONSE_STREAM_HOST: "127.0.0.1",
	DYN_EVENT_PLANE_HOST: "127.0.0.1",
};

/**
 * What to start as the frontend. Requests are sent where their prefix is by stock Dynamo's only, when the Python of
 * DYNAMO_PYTHON (default python3) has it; ours takes the workers in turn.
 * @param {import("./commands.mjs").Story} story
 * @param {Record<string, string | undefined>} environment
 */
export function frontendOf(story, environment) {
	const port = environment.DYN_HTTP_PORT ?? "8000";
	const http = ["--http-host", "127.0.0.1", "--http-port", port];
	const address = `http://127.0.0.1:${port}`;
	const python = environment.DYNAMO_PYTHON ?? "python3";
	if (story.kvRouting && hasStockFrontend(python)) {
		const missing = Object.entries(STOCK).filter(([name]) => environment[name] === undefined);
		const args = ["-m", "dynamo.frontend", "--router-mode", "kv", ...http];
		return { address, command: python, args, env: Object.fromEntries(missing) };
	}
	if (story.kvRouting && environment.DYNAMO_PYTHON)
		throw new Error(`${python} has no dynamo.frontend; install ai-dynamo there, or leave DYNAMO_PYTHON out`);
	if (story.kvRouting)
		console.log("note: no stock Dynamo in python3; workers are taken in turn, wherever the prefix is");
	return { address, command: process.execPath, args: [CLI, "frontend", ...http], env: {} };
}

function hasStockFrontend(python) {
	const look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('dynamo.frontend') is None)";
	return spawnSync(python, ["-c", look], { stdio: "ignore" }).status === 0;
}
