// SPDX-License-Identifier: Apache-2.0
// Stock Dynamo's processes for tests, as installed by install-dynamo.mjs. They use loopback only.
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { DYNAMO_FOLDER, pythonOf } from "./dynamo-folder.mjs";
import { startPeer } from "./peer-process.mjs";

/**
 * @typedef {object} StockOptions
 * @property {string} [store] folder of the file store through which the processes find each other
 * @property {string} [etcd] or the URL of an etcd, such as http://127.0.0.1:2379
 * @property {Record<string, string>} [env] on top of loopback, tcp requests and zmq events
 * @property {string[]} [flags]
 * @property {string} [folder] where stock Dynamo is installed
 */

/**
 * Resolves when the frontend answers; models appear later. It has no port 0, so it gets one that was free just before.
 * @param {StockOptions} options
 * @returns {Promise<{address: string} & import("./peer-process.mjs").Peer>}
 */
export async function startStockFrontend({ flags = [], env, ...options }) {
	const port = await freePort();
	const address = `http://127.0.0.1:${port}`;
	const args = ["-m", "dynamo.frontend", "--http-host", "127.0.0.1", "--http-port", String(port), ...flags];
	return start("the stock frontend", args, options, { DYN_SYSTEM_PORT: "-1", ...env }, (log, signal) =>
		log.includes("Starting HTTP(S) service") ? untilAnswered(address, signal) : undefined,
	);
}

/**
 * Resolves when every worker of the mocker is in discovery; `address` is of the first worker's status server.
 * @param {StockOptions & {modelDirectory: string, modelName: string}} options `modelDirectory` has config.json,
 *   tokenizer.json and so on, no weights. Flags: `--speedup-ratio 1000000` answers at once (0 does not).
 * @returns {Promise<{address: string} & import("./peer-process.mjs").Peer>}
 */
export async function startStockMocker({ modelDirectory, modelName, flags = [], env, ...options }) {
	const args = ["-m", "dynamo.mocker", "--model-path", modelDirectory, "--model-name", modelName, ...flags];
	// With a status server it serves its tokenizer files. The log tells when it is ready: its health never does.
	const own = { DYN_SYSTEM_HOST: "127.0.0.1", DYN_SYSTEM_PORT: "0", ...env, DYN_LOG: "info" };
	return start("the stock mocker", args, options, own, (log) => {
		const workers = /Launching (\d+) mocker worker/.exec(log)?.[1];
		// A worker's last line comes after its records.
		const ready = log.split("Metrics background tasks started").length - 1;
		const address = /system status server bound to: (\S+)/.exec(log)?.[1];
		return workers !== undefined && ready >= Number(workers) ? `http://${address}` : undefined;
	});
}

async function start(name, args, { store, etcd, folder = DYNAMO_FOLDER }, env, ready) {
	const command = pythonOf(folder);
	if (!existsSync(command))
		throw new Error(`${folder} has no stock Dynamo; install it with: node scripts/peers/install-dynamo.mjs`);
	if ((store === undefined) === (etcd === undefined))
		throw new Error(`${name} needs either store or etcd to be found by`);
	const discovery =
		store === undefined
			? { DYN_DISCOVERY_BACKEND: "etcd", ETCD_ENDPOINTS: etcd }
			: { DYN_DISCOVERY_BACKEND: "file", DYN_FILE_KV: store };
	const common = {
		HF_HUB_OFFLINE: "1",
		DYN_REQUEST_PLANE: "tcp",
		DYN_EVENT_PLANE: "zmq",
		DYN_TCP_RPC_HOST: "127.0.0.1",
		DYN_TCP_RESPONSE_STREAM_HOST: "127.0.0.1",
		DYN_EVENT_PLANE_HOST: "127.0.0.1",
	};
	const { value, peer } = await startPeer({
		name,
		command,
		args,
		env: { ...common, ...discovery, ...env },
		ready,
	});
	return { address: value, ...peer };
}

async function untilAnswered(address, signal) {
	// The line before is written before the port is bound, and nothing is written after.
	while (!(await fetch(`${address}/health`, { signal }).catch(() => null))?.ok) {
		signal.throwIfAborted();
		await delay(10);
	}
	return address;
}

function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer().once("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}
