// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
// @boundaries-ignore the one way in which tests start other software
import { startPeer } from "../../../scripts/peers/peer-process.mjs";

/** Why there is no NATS server on this machine, or null. */
export function natsServerMissing(): string | null {
	return spawnSync("nats-server", ["--version"]).status === 0
		? null
		: "nats-server is not in PATH: apt-get install nats-server";
}

/** A NATS server of a test, on loopback and a port of its own. */
export class NatsServer implements AsyncDisposable {
	readonly #args: readonly string[];
	#process: { readonly pid: number; kill(signal: string): Promise<unknown> } | null = null;
	#port = -1;

	private constructor(args: readonly string[]) {
		this.#args = args;
	}

	static async start(...args: readonly string[]): Promise<NatsServer> {
		const server = new NatsServer(args);
		await server.start();
		return server;
	}

	get url(): string {
		return `nats://127.0.0.1:${this.#port}`;
	}

	/** Starts again, on the same port, what was killed. */
	async start(): Promise<void> {
		const { value, peer } = await startPeer({
			name: "nats-server",
			command: "nats-server",
			args: ["-a", "127.0.0.1", "-p", String(this.#port), ...this.#args],
			ready: (log: string) =>
				log.includes("Server is ready")
					? /Listening for client connections on .*:(\d+)/.exec(log)?.[1]
					: undefined,
		});
		this.#port = Number(value);
		this.#process = peer;
	}

	/** As if the machine had lost its power. */
	async kill(): Promise<void> {
		const stopped = this.#process?.kill("SIGKILL");
		this.#process = null;
		await stopped;
	}

	/** Stops answering without closing a connection, until `thaw`. */
	async freeze(): Promise<void> {
		const { pid } = this.#process!;
		process.kill(pid, "SIGSTOP");
		// It takes effect some time later, thread by thread.
		const isStopped = async (thread: string) =>
			/\) [Tt] /.test(await readFile(`/proc/${pid}/task/${thread}/stat`, "utf8"));
		let stopped = false;
		while (!stopped) {
			const threads = await readdir(`/proc/${pid}/task`);
			stopped = (await Promise.all(threads.map(isStopped))).every(Boolean);
		}
	}

	thaw(): void {
		process.kill(this.#process!.pid, "SIGCONT");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
	}
}
