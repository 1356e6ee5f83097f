// SPDX-License-Identifier: Apache-2.0
import type { Server, Socket } from "node:net";
import { DynError, type Logger } from "@dyn/common";
import type { ServedTarget } from "../request-plane.js";
import { Admission } from "./admission.js";
import { ByteQueue } from "./byte-queue.js";
import { type ControlHeader, decodeControlHeader } from "./control-header.js";
import { formatHostPort, listen } from "./listen.js";
import { MUX_PATH, MuxServerConnection } from "./mux/mux-server-connection.js";
import { contextOf } from "./request-context.js";
import { encodeAck, type RequestFrame, refusals, takeRequestFrame } from "./request-frame.js";
import { ResponseSender } from "./response-sender.js";
import type { Sockets } from "./sockets.js";
import { type TwoPart, takeTwoPart } from "./two-part.js";
import { decodeBody } from "./wire-format.js";

export interface RequestServerOptions {
	readonly host: string;
	readonly port: number;
	readonly sockets: Sockets;
	/** Requests served at once, and requests that wait; more are refused as overloaded. */
	readonly maxRunning: number;
	readonly maxWaiting: number;
	readonly logger: Logger;
}

/** Where callers bring their requests: many over one connection, each acknowledged at once. */
export class RequestServer {
	readonly #options: RequestServerOptions;
	readonly #targets = new Map<string, ServedTarget>();
	readonly #admission: Admission;
	readonly #sockets = new Set<Socket>();
	readonly #senders = new Set<ResponseSender>();
	#server: Promise<{ readonly server: Server; readonly address: string }> | null = null;

	constructor(options: RequestServerOptions) {
		this.#options = options;
		this.#admission = new Admission(options.maxRunning, options.maxWaiting);
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
		for (const sender of this.#senders) sender.destroy();
		const listening = await this.#server?.catch(() => null);
		if (listening) await new Promise<void>((resolve) => listening.server.close(() => resolve()));
	}

	async #listen() {
		const { host, port, sockets } = this.#options;
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
		if (this.#admission.isFull) return refusals.overloaded("too many requests wait here");
		let parts: TwoPart | null;
		let control: ControlHeader;
		try {
			const queue = new ByteQueue();
			queue.push(payload);
			parts = takeTwoPart(queue);
			if (!parts) return refusals.unavailable("the request is cut short");
			control = decodeControlHeader(parts.header);
		} catch (error) {
			return refusals.unavailable(DynError.from(error).rawMessage);
		}
		void this.#serve(target, control, parts.body, headers);
		return "";
	}

	/** Never rejects: what fails is the caller's to hear. */
	async #serve(
		target: ServedTarget,
		control: ControlHeader,
		body: Buffer,
		headers: Readonly<Record<string, string>>,
	): Promise<void> {
		const cancel = new AbortController();
		let sender: ResponseSender;
		try {
			const gone = (reason: DynError | null) => {
				this.#senders.delete(sender);
				if (reason) cancel.abort(reason);
			};
			sender = new ResponseSender(control, gone, this.#options.sockets);
			this.#senders.add(sender);
		} catch (error) {
			this.#options.logger.warn("an answer cannot be delivered", { request: control.id, error });
			return;
		}
		if (!(await this.#admission.enter(cancel.signal))) return;
		try {
			const request = target.codec.decodeRequest(decodeBody(body, control.format));
			const context = contextOf(control.id, headers, cancel.signal, this.#options.logger);
			for await (const item of target.handler(request, context)) {
				if (sender.gone) return;
				const room = sender.send(target.codec.encodeItem(item));
				if (room) await room;
			}
			await sender.complete();
		} catch (error) {
			if (!sender.gone) await sender.fail(error).catch(() => sender.destroy());
		} finally {
			this.#admission.leave();
		}
	}
}
