// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { Pipe, type Weather } from "./chaos-pipe.js";

const CLEAR: Weather = {
	latencyMs: 0,
	jitterMs: 0,
	bytesPerSecond: Number.POSITIVE_INFINITY,
	sliceBytes: Number.POSITIVE_INFINITY,
	dropped: false,
	endHidden: false,
};

/** A TCP connection's bad day: stands between clients and one server and does what networks do. */
export class ChaosProxy implements AsyncDisposable {
	/** From clients to the server. */
	readonly up: Weather = { ...CLEAR };
	/** From the server to clients. */
	readonly down: Weather = { ...CLEAR };
	/** "127.0.0.1:1234" */
	readonly address: string;
	readonly #server: Server;
	readonly #sockets = new Set<Socket>();
	#connections = 0;
	#isolated = false;

	private constructor(server: Server, target: { readonly host: string; readonly port: number }) {
		this.#server = server;
		this.address = `127.0.0.1:${(server.address() as { port: number }).port}`;
		server.on("connection", (client) => this.#join(client, target));
	}

	/** @param target "host:port" of the server */
	static async start(target: string): Promise<ChaosProxy> {
		const [host, port] = target.split(":");
		const server = createServer({ allowHalfOpen: true, noDelay: true }).listen(0, "127.0.0.1");
		await once(server, "listening");
		return new ChaosProxy(server, { host: host!, port: Number(port) });
	}

	/** Connections of clients now. */
	get connections(): number {
		return this.#connections;
	}

	/** Nothing passes in either direction, not even an end; connections stay, new ones are accepted and lead nowhere. */
	blackhole(): void {
		this.#isolated = true;
		for (const each of [this.up, this.down]) Object.assign(each, { dropped: true, endHidden: true });
	}

	/** Bytes and new connections pass again. What was dropped is lost: connections that missed some are reset. */
	heal(): void {
		for (const each of [this.up, this.down]) Object.assign(each, CLEAR);
		if (this.#isolated) this.reset();
		this.#isolated = false;
	}

	/** Resets every connection on both sides (RST). New ones are welcome. */
	reset(): void {
		for (const socket of this.#sockets) socket.resetAndDestroy();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		this.#server.close();
		await once(this.#server, "close");
	}

	#join(client: Socket, target: { readonly host: string; readonly port: number }): void {
		const server = this.#isolated ? null : connect({ ...target, allowHalfOpen: true, noDelay: true });
		this.#track(client, server);
		this.#connections++;
		client.on("close", () => this.#connections--);
		if (!server) {
			client.resume();
			return;
		}
		this.#track(server, client);
		new Pipe(client, server, this.up);
		new Pipe(server, client, this.down);
	}

	/** @param peer falls with `socket` when that breaks, unless that is hidden */
	#track(socket: Socket, peer: Socket | null): void {
		this.#sockets.add(socket);
		socket.on("error", () => {
			const hidden = this.up.endHidden || this.down.endHidden;
			if (peer && !peer.destroyed && !hidden) peer.resetAndDestroy();
		});
		socket.on("close", () => this.#sockets.delete(socket));
	}
}
