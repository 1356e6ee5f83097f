// SPDX-License-Identifier: Apache-2.0
import { createServer } from "node:net";
import { join } from "node:path";
import { Child, type ChildCommand } from "./child.js";

/** A server that can be killed and started again, with the same address and data. */
export class Server {
	readonly address: string;
	readonly #command: ChildCommand;
	#child: Child | null = null;

	constructor(address: string, command: ChildCommand) {
		this.address = address;
		this.#command = command;
	}

	/** Resolves when it serves. */
	async start(): Promise<void> {
		this.#child = await Child.start(this.#command);
	}

	/** As if its machine had lost its power. */
	async kill(): Promise<void> {
		await this.#child?.kill();
		this.#child = null;
	}
}

/** An etcd of one member with its data below `folder`; not started. */
export async function etcdServer(folder: string): Promise<Server> {
	const client = `http://127.0.0.1:${await freePort()}`;
	const peer = `http://127.0.0.1:${await freePort()}`;
	const args = [
		["--name", "endurance", "--data-dir", join(folder, "etcd")],
		["--listen-client-urls", client, "--advertise-client-urls", client],
		["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
		["--initial-cluster", `endurance=${peer}`],
	].flat();
	return new Server(client, { name: "etcd", command: "etcd", args, ready: /ready to serve client requests/ });
}

/** A nats-server; not started. */
export async function natsServer(): Promise<Server> {
	const port = await freePort();
	const args = ["--addr", "127.0.0.1", "--port", String(port)];
	return new Server(`nats://127.0.0.1:${port}`, {
		name: "nats-server",
		command: "nats-server",
		args,
		ready: /Server is ready/,
	});
}

function freePort(): Promise<number> {
	return new Promise((resolve) => {
		const server = createServer().listen(0, "127.0.0.1", () => {
			const { port } = server.address() as { port: number };
			server.close(() => resolve(port));
		});
	});
}
