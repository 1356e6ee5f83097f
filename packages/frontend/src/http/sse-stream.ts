// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import { DynError } from "@dyn/common";
import type { FrontendLimits } from "../options.js";

/** Nothing between here and the client may hold events back, compress or keep them. */
const HEADERS = {
	"content-type": "text/event-stream; charset=utf-8",
	"cache-control": "no-cache, no-transform",
	"x-accel-buffering": "no",
};

/**
 * A server-sent event stream over one response. Headers are held back until the first event (so that an early failure
 * can still have its own status) or until `headerHoldMs`; comments keep an idle stream alive.
 */
export class SseStream {
	readonly #response: ServerResponse;
	readonly #limits: FrontendLimits;
	readonly #onSlowClient: (error: DynError) => void;
	#keepAlive: NodeJS.Timeout;
	#corked = false;

	constructor(response: ServerResponse, limits: FrontendLimits, onSlowClient: (error: DynError) => void) {
		this.#response = response;
		this.#limits = limits;
		this.#onSlowClient = onSlowClient;
		this.#keepAlive = setTimeout(() => this.#comment(), limits.headerHoldMs);
	}

	/** True once the status is out: from then on a failure is an event. */
	get started(): boolean {
		return this.#response.headersSent;
	}

	/** Sends one event of JSON text. Resolves when the client can take more. */
	send(json: string): Promise<void> | undefined {
		this.#keepAlive.refresh();
		return this.#write(`data: ${json}\n\n`);
	}

	/** Ends the stream; with `failure`, after an error event, so that no client takes it for a whole answer. */
	end(failure?: string): void {
		clearTimeout(this.#keepAlive);
		if (this.#response.destroyed) return;
		this.#start();
		this.#response.end(`${failure === undefined ? "" : `data: ${failure}\n\n`}data: [DONE]\n\n`);
	}

	/** Gives up without a word, for a client that is gone or an answer that has its own status. */
	abandon(): void {
		clearTimeout(this.#keepAlive);
	}

	#start(): void {
		if (!this.#response.headersSent) this.#response.writeHead(200, HEADERS);
	}

	#comment(): void {
		clearTimeout(this.#keepAlive);
		this.#keepAlive = setTimeout(() => this.#comment(), this.#limits.keepAliveMs);
		void this.#write(": ka\n\n");
	}

	#write(text: string): Promise<void> | undefined {
		const response = this.#response;
		if (response.destroyed) return undefined;
		this.#start();
		if (!this.#corked) {
			this.#corked = true;
			response.cork();
			process.nextTick(() => {
				this.#corked = false;
				response.uncork();
			});
		}
		return response.write(text) ? undefined : this.#drained();
	}

	#drained(): Promise<void> {
		const response = this.#response;
		return new Promise((resolve) => {
			const slow = setTimeout(() => {
				this.#onSlowClient(new DynError("CANCELLED", "the client does not read its answer"));
				response.destroy();
			}, this.#limits.slowClientMs);
			const go = () => {
				clearTimeout(slow);
				response.off("drain", go);
				response.off("close", go);
				resolve();
			};
			response.on("drain", go);
			response.on("close", go);
		});
	}
}
