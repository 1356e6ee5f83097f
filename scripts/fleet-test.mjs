// SPDX-License-Identifier: Apache-2.0
// examples/fleet in every combination of discovery and planes, with an etcd and a NATS server of its own.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPeer } from "./peers/peer-process.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const work = mkdtempSync(join(tmpdir(), "dyn-fleets-"));

function freePort() {
	return new Promise((resolve) => {
		const server = createServer().listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

const etcdUrl = `http://127.0.0.1:${await freePort()}`;
const peerUrl = `http://127.0.0.1:${await freePort()}`;
const etcd = await startPeer({
	name: "etcd",
	command: "etcd",
	args: [
		["--data-dir", join(work, "etcd")],
		["--listen-client-urls", etcdUrl, "--advertise-client-urls", etcdUrl],
		["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
		["--initial-cluster", `default=${peerUrl}`],
	].flat(),
	env: {},
	ready: (log) => (log.includes("ready to serve client requests") ? true : undefined),
});
const natsPort = await freePort();
const nats = await startPeer({
	name: "nats-server",
	command: "nats-server",
	args: ["--addr", "127.0.0.1", "--port", String(natsPort)],
	env: {},
	ready: (log) => (log.includes("Server is ready") ? true : undefined),
});

const throughEtcd = ["--discovery-backend", "etcd", "--etcd-endpoints", etcdUrl];
const overNats = [
	"--nats-server",
	`nats://127.0.0.1:${natsPort}`,
	"--request-plane",
	"nats",
	"--event-plane",
	"nats",
];
const combinations = [
	["--request-plane", "http"],
	["--request-plane-codec", "json"],
	overNats,
	throughEtcd,
	[...throughEtcd, ...overNats],
];
try {
	for (const options of combinations) {
		const output = execFileSync(process.execPath, [join(root, "examples/fleet/main.mjs"), ...options], {
			encoding: "utf8",
			stdio: ["ignore", "pipe", "inherit"],
		});
		console.log(`ok  ${options.join(" ")}\n    ${output.trim().split("\n").at(-1)}`);
	}
} finally {
	await Promise.all([etcd.peer.kill("SIGKILL"), nats.peer.kill("SIGKILL")]);
	rmSync(work, { recursive: true, force: true });
}
