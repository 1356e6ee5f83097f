// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface EtcdServerOptions {
	/** Files for TLS; with `trustedCa` clients need a certificate too. */
	readonly tls?: { readonly cert: string; readonly key: string; readonly trustedCa?: string };
	/** Files of an RSA key: users get signed tokens. */
	readonly jwt?: { readonly publicKey: string; readonly privateKey: string };
}

/** Why there is no etcd here, or null when there is. */
export function etcdMissing(): string | null {
	try {
		execFileSync("etcd", ["--version"], { stdio: "ignore" });
		return null;
	} catch {
		return "etcd is not in PATH: apt-get install etcd-server";
	}
}

/** An etcd of one member on a free port, with its data in a folder of its own. */
export class EtcdServer {
	readonly endpoint: string;
	readonly #folder: string;
	readonly #arguments: readonly string[];
	#process: ChildProcess | null = null;

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
		const data = join(this.#folder, "data");
		const child = spawn("etcd", [...this.#arguments, "--data-dir", data], {
			stdio: ["ignore", "ignore", "pipe"],
		});
		this.#process = child;
		const log = child.stderr.setEncoding("utf8");
		let told = "";
		await new Promise<void>((resolve, reject) => {
			log.on("data", (text: string) => {
				told += text;
				if (told.includes("ready to serve client requests")) resolve();
			});
			child.once("error", reject);
			child.once("exit", (code, signal) => reject(new Error(`etcd ended (${code ?? signal}):\n${told}`)));
		});
		log.removeAllListeners("data").resume();
	}

	/** SIGKILL. */
	async kill(): Promise<void> {
		const child = this.#process;
		if (!child || child.exitCode !== null || child.signalCode !== null) return;
		const exit = once(child, "exit");
		child.kill("SIGKILL");
		await exit;
	}

	/** SIGSTOP: it holds its connections and answers nothing until `thaw`. */
	freeze(): void {
		this.#process?.kill("SIGSTOP");
	}

	thaw(): void {
		this.#process?.kill("SIGCONT");
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
