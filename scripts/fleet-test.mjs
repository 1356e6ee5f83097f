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

/** A new one for each fleet: workers that were killed stay in etcd until their leases end. */
async function startEtcd(index) {
	const clientUrl = `http://127.0.0.1:${await freePort()}`;
	const peerUrl = `http://127.0.0.1:${await freePort()}`;
	const { peer } = await startPeer({
		name: "etcd",
		command: "etcd",
		args: [
			["--data-dir", join(work, `etcd-${index}`)],
			["--listen-client-urls", clientUrl, "--advertise-client-urls", clientUrl],
			["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
			["--initial-cluster", `default=${peerUrl}`],
		].flat(),
		env: {},
		ready: (log) => (log.includes("ready to serve client requests") ? true : undefined),
	});
	return { peer, options: ["--discovery-backend", "etcd", "--etcd-endpoints", clientUrl] };
}

const natsPort = await freePort();
const nats = await startPeer({
	name: "nats-server",
	command: "nats-server",
	args: ["--addr", "127.0.0.1", "--port", String(natsPort)],
	env: {},
	ready: (log) => (log.includes("Server is ready") ? true : undefined),
});

const etcds = [await startEtcd(1), await startEtcd(2)];
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
	etcds[0].options,
	[...etcds[1].options, ...overNats],
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
	await Promise.all([...etcds, nats].map(({ peer }) => peer.kill("SIGKILL")));
	rmSync(work, { recursive: true, force: true });
}
