// SPDX-License-Identifier: Apache-2.0
import type { Server, Socket } from "node:net";
import { DynError, type Logger, type Metrics } from "@dyn/common";
import type { ServedTarget } from "../request-plane.js";
import { Admission } from "./admission.js";
import { meterAdmission } from "./admission-metrics.js";
import { ByteQueue } from "./byte-queue.js";
import { CallHomeServer } from "./call-home-server.js";
import { formatHostPort, listen } from "./listen.js";
import { MUX_PATH, MuxServerConnection } from "./mux/mux-server-connection.js";
import { encodeAck, type RequestFrame, refusals, takeRequestFrame } from "./request-frame.js";
import type { Sockets } from "./sockets.js";

export interface RequestServerOptions {
	readonly host: string;
	readonly port: number;
	readonly sockets: Sockets;
	/** Requests served at once, and requests that wait; more are refused as overloaded. */
	readonly maxRunning: number;
	readonly maxWaiting: number;
	readonly logger: Logger;
	readonly metrics: Metrics;
}

/** Where callers bring their requests: many over one connection, each acknowledged at once. */
export class RequestServer {
	readonly #options: RequestServerOptions;
	readonly #targets = new Map<string, ServedTarget>();
	readonly #admission: Admission;
	readonly #sockets = new Set<Socket>();
	readonly #calls: CallHomeServer;
	#server: Promise<{ readonly server: Server; readonly address: string }> | null = null;

	constructor(options: RequestServerOptions) {
		this.#options = options;
		this.#admission = new Admission(options.maxRunning, options.maxWaiting);
		const { sockets, logger } = options;
		this.#calls = new CallHomeServer({ admission: this.#admission, sockets, logger });
	}

	/** Resolves with `ip:port` of the server. */
	async add(path: string, target: ServedTarget): Promise<string> {
		this.#targets.set(path, target);
		this.#server ??= this.#listen();
		return (await this.#server).address;
	}

	remove(path: string): void {
		this.#targets.delete(path);
	}

	async close(): Promise<void> {
		for (const socket of this.#sockets) socket.destroy();
		this.#calls.close();
		const listening = await this.#server?.catch(() => null);
		if (listening) await new Promise<void>((resolve) => listening.server.close(() => resolve()));
	}

	async #listen() {
		const { host, port, sockets, metrics } = this.#options;
		meterAdmission(metrics, this.#admission);
		const server = sockets.createServer((socket) => this.#accept(socket));
		return { server, address: formatHostPort(host, await listen(server, host, port)) };
	}

	#accept(socket: Socket): void {
		const queue = new ByteQueue();
		this.#sockets.add(socket);
		socket.on("error", () => {}); // "close" follows and says it
		socket.on("close", () => this.#sockets.delete(socket));
		const read = (chunk: Buffer) => {
			queue.push(chunk);
			try {
				for (let frame = takeRequestFrame(queue); frame; frame = takeRequestFrame(queue)) {
					if (frame.path === MUX_PATH) {
						socket.off("data", read);
						socket.write(encodeAck());
						new MuxServerConnection(socket, queue, {
							find: (path) => this.#targets.get(path) ?? null,
							admission: this.#admission,
							logger: this.#options.logger,
						});
						return;
					}
					socket.write(encodeAck(this.#receive(frame)));
				}
			} catch (error) {
				socket.end(encodeAck(`Read error: ${DynError.from(error).rawMessage}`));
			}
		};
		socket.on("data", read);
	}

	/** Begins a request; returns what the caller is told at once, empty for accepted. */
	#receive({ path, headers, payload }: RequestFrame): string {
		const target = this.#targets.get(path);
		if (!target) return refusals.unavailable(`unknown endpoint ${path}`);
		if (this.#admission.refuses()) return refusals.overloaded("too many requests wait here");
		return this.#calls.receive(target, payload, headers);
	}
}
