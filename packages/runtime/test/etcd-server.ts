// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
// @boundaries-ignore the one way in which tests start other software
import { startPeer } from "../../../scripts/peers/peer-process.mjs";

export interface EtcdServerOptions {
	/** Files for TLS; with `trustedCa` clients need a certificate too. */
	readonly tls?: { readonly cert: string; readonly key: string; readonly trustedCa?: string };
	/** Files of an RSA key: users get signed tokens. */
	readonly jwt?: { readonly publicKey: string; readonly privateKey: string };
}

/** Why there is no etcd on this machine, or null. */
export function etcdMissing(): string | null {
	return spawnSync("etcd", ["--version"]).status === 0
		? null
		: "etcd is not in PATH: apt-get install etcd-server";
}

/** An etcd of one member on a free port, with its data in a folder of its own. */
export class EtcdServer {
	readonly endpoint: string;
	readonly #folder: string;
	readonly #arguments: readonly string[];
	#process: { readonly pid: number; kill(signal: string): Promise<unknown> } | null = null;

	private constructor(endpoint: string, folder: string, args: readonly string[]) {
		this.endpoint = endpoint;
		this.#folder = folder;
		this.#arguments = args;
	}

	/** An address and a folder; nothing runs yet. */
	static async prepare({ tls, jwt }: EtcdServerOptions = {}): Promise<EtcdServer> {
		const folder = await mkdtemp(join(tmpdir(), "dyn-etcd-"));
		const endpoint = `${tls ? "https" : "http"}://127.0.0.1:${await freePort()}`;
		const peer = `http://127.0.0.1:${await freePort()}`;
		const args = [
			["--name", "test"],
			["--listen-client-urls", endpoint, "--advertise-client-urls", endpoint],
			[
				"--listen-peer-urls",
				peer,
				"--initial-advertise-peer-urls",
				peer,
				"--initial-cluster",
				`test=${peer}`,
			],
			tls ? ["--cert-file", tls.cert, "--key-file", tls.key] : [],
			tls?.trustedCa ? ["--client-cert-auth", "--trusted-ca-file", tls.trustedCa] : [],
			jwt
				? [
						"--auth-token",
						`jwt,pub-key=${jwt.publicKey},priv-key=${jwt.privateKey},sign-method=RS256,ttl=10m`,
					]
				: [],
		].flat();
		return new EtcdServer(endpoint, folder, args);
	}

	static async start(options: EtcdServerOptions = {}): Promise<EtcdServer> {
		const server = await EtcdServer.prepare(options);
		await server.start();
		return server;
	}

	/** Resolves when it serves clients. */
	async start(): Promise<void> {
		const { peer } = await startPeer({
			name: "etcd",
			command: "etcd",
			args: [...this.#arguments, "--data-dir", join(this.#folder, "data")],
			ready: (log: string) => log.includes("ready to serve client requests") || undefined,
		});
		this.#process = peer;
	}

	/** As if the machine had lost its power. */
	async kill(): Promise<void> {
		const stopped = this.#process?.kill("SIGKILL");
		this.#process = null;
		await stopped;
	}

	/** Holds its connections and answers nothing until `thaw`. */
	freeze(): void {
		if (this.#process) process.kill(this.#process.pid, "SIGSTOP");
	}

	thaw(): void {
		if (this.#process) process.kill(this.#process.pid, "SIGCONT");
	}

	/** Makes the next start an etcd that knows nothing. */
	async forget(): Promise<void> {
		await rm(join(this.#folder, "data"), { recursive: true, force: true });
	}

	async dispose(): Promise<void> {
		await this.kill();
		await rm(this.#folder, { recursive: true, force: true });
	}
}

async function freePort(): Promise<number> {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const { port } = server.address() as { port: number };
	server.close();
	await once(server, "close");
	return port;
}
