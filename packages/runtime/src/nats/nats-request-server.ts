// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import type { ServedTarget } from "../request-plane/request-plane.js";
import { Admission } from "../request-plane/tcp/admission.js";
import { CallHomeServer } from "../request-plane/tcp/call-home-server.js";
import { refusals } from "../request-plane/tcp/request-frame.js";
import type { Sockets } from "../request-plane/tcp/sockets.js";
import type { NatsMessage } from "./nats-link.js";

/** Serves the requests of one instance: each is acknowledged at once, its answer goes to the address in its control header. */
export class NatsRequestServer {
	readonly #target: ServedTarget;
	readonly #admission: Admission;
	readonly #maxRunning: number;
	readonly #calls: CallHomeServer;
	#left = false;

	constructor(target: ServedTarget, maxRunning: number, sockets: Sockets, logger: Logger) {
		this.#target = target;
		this.#admission = new Admission(maxRunning, 0);
		this.#maxRunning = maxRunning;
		this.#calls = new CallHomeServer({
			admission: this.#admission,
			sockets,
			logger,
			onLost: ({ id, address }, error) =>
				logger.warn("an answer cannot be delivered", { request: id, address, error }),
		});
	}

	receive(message: NatsMessage): void {
		message.respond(this.#accept(message));
	}

	/** Begins a request; returns what the caller is told at once, empty for accepted (as in Dynamo). */
	#accept({ body, headers }: NatsMessage): string {
		if (this.#left) return refusals.unavailable("the endpoint is not served here any more");
		if (this.#admission.isFull) return refusals.overloaded(`${this.#maxRunning} requests are being served`);
		const payload = Buffer.from(body.buffer, body.byteOffset, body.length);
		return this.#calls.receive(this.#target, payload, headers);
	}

	/** Refuses new requests; running ones go on. */
	leave(): void {
		this.#left = true;
	}

	/** Breaks off what is being answered. */
	close(): void {
		this.leave();
		this.#calls.close();
	}
}
