// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** Why there is no NATS server on this machine, or null. */
export function natsServerMissing(): string | null {
	return spawnSync("nats-server", ["--version"]).status === 0
		? null
		: "nats-server is not installed: apt-get install nats-server";
}

/** A NATS server of a test, on loopback and a port of its own. */
export class NatsServer implements AsyncDisposable {
	readonly #args: readonly string[];
	#process: ChildProcess | null = null;
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
		const child = spawn("nats-server", ["-a", "127.0.0.1", "-p", String(this.#port), ...this.#args], {
			stdio: ["ignore", "ignore", "pipe"],
		});
		this.#process = child;
		const lines = createInterface(child.stderr!);
		let output = "";
		for await (const line of lines) {
			output += `${line}\n`;
			const listening = /Listening for client connections on .*:(\d+)/.exec(line);
			if (listening) this.#port = Number(listening[1]);
			if (line.includes("Server is ready")) break;
		}
		if (!output.includes("Server is ready")) throw new Error(`nats-server did not start:\n${output}`);
		child.stderr!.resume(); // a full pipe would stop the server
	}

	/** As if the machine had lost its power. */
	async kill(): Promise<void> {
		const child = this.#process;
		if (!child) return;
		this.#process = null;
		child.kill("SIGKILL");
		await once(child, "exit");
	}

	/** Stops answering without closing a connection, until `thaw`. */
	freeze(): void {
		this.#process?.kill("SIGSTOP");
	}

	thaw(): void {
		this.#process?.kill("SIGCONT");
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.kill();
	}
}
