// SPDX-License-Identifier: Apache-2.0
import type { Socket } from "node:net";
import { DynError } from "@dyn/common";
import { ByteQueue } from "./byte-queue.js";
import { refusalError, takeAck } from "./request-frame.js";
import type { Sockets } from "./sockets.js";

/** Time for a worker to acknowledge a request, connecting included, ms (Dynamo: DYN_TCP_REQUEST_TIMEOUT, 5 s). */
const ACK_MS = 5000;

interface Waiting {
	readonly resolve: () => void;
	readonly reject: (error: DynError) => void;
	readonly timer: NodeJS.Timeout;
}

/** One connection to a worker. Requests are written as they come; answers arrive in the same order. */
export class RequestConnection {
	readonly #address: string;
	readonly #socket: Socket;
	readonly #waiting: Waiting[] = [];
	readonly #onGone: (connection: RequestConnection) => void;

	/** @param onGone called once; the connection must not be used any more */
	constructor(address: string, sockets: Sockets, onGone: (connection: RequestConnection) => void) {
		this.#address = address;
		this.#onGone = onGone;
		let opened = false;
		this.#socket = sockets.connect(address, () => {
			opened = true;
		});
		this.#socket.setKeepAlive(true, 5000);
		const queue = new ByteQueue();
		let cause: Error | undefined;
		this.#socket.on("error", (error) => {
			cause = error;
		});
		this.#socket.on("data", (chunk) => {
			queue.push(chunk);
			try {
				for (let text = takeAck(queue); text !== null; text = takeAck(queue)) this.#answer(text);
			} catch {
				this.#socket.destroy();
			}
		});
		this.#socket.on("close", () => {
			const what = opened ? "lost" : "could not be opened";
			this.#fail(
				new DynError(
					opened ? "DISCONNECTED" : "UNAVAILABLE",
					`the connection to the worker at ${address} ${what}${cause ? `: ${cause.message}` : ""}`,
					{ cause },
				),
			);
		});
	}

	/** Requests whose answer has not come. */
	get pending(): number {
		return this.#waiting.length;
	}

	/** Resolves when the worker has accepted the request. @throws DynError UNAVAILABLE, OVERLOADED, DISCONNECTED */
	send(frame: Buffer): Promise<void> {
		return new Promise((resolve, reject) => {
			const timer = setTimeout(() => {
				this.#fail(
					new DynError("UNAVAILABLE", `the worker at ${this.#address} did not answer within ${ACK_MS} ms`),
				);
			}, ACK_MS);
			this.#waiting.push({ resolve, reject, timer });
			this.#socket.write(frame);
		});
	}

	close(): void {
		this.#socket.destroy();
	}

	#answer(text: string): void {
		const first = this.#waiting.shift();
		if (!first) return void this.#socket.destroy(); // an answer to nothing: out of step
		clearTimeout(first.timer);
		const refusal = refusalError(text);
		if (refusal) first.reject(refusal);
		else first.resolve();
	}

	/** With one answer missing the order is lost, so all that wait fail. */
	#fail(error: DynError): void {
		this.#socket.destroy();
		this.#onGone(this);
		for (const { reject, timer } of this.#waiting.splice(0)) {
			clearTimeout(timer);
			reject(error);
		}
	}
}
