// SPDX-License-Identifier: Apache-2.0
import { Http2Connection, type Http2ConnectionOptions } from "../http2/connection.js";

export interface ChannelOptions extends Http2ConnectionOptions {
	/** After an attempt to connect that failed, none is made for so long, ms. */
	readonly retryIntervalMs: number;
}

/** At most one connection for new calls, made when it is needed; calls of earlier ones may still run. */
export class Channel {
	readonly #options: ChannelOptions;
	#keepaliveTimeMs: number;
	#connection: Http2Connection | null = null;
	/** Those that the server takes no more calls on, and has not ended. */
	#earlier: readonly Http2Connection[] = [];
	#isReady = false;
	/** The last attempt, if it failed. */
	#failure: { readonly reason: string; readonly retryAtMs: number } | null = null;
	#isClosed = false;

	constructor(options: ChannelOptions) {
		this.#options = options;
		this.#keepaliveTimeMs = options.keepaliveTimeMs;
	}

	get isClosed(): boolean {
		return this.#isClosed;
	}

	/** How long no attempt is made, ms. */
	get pauseMs(): number {
		return Math.max(0, (this.#failure?.retryAtMs ?? 0) - performance.now());
	}

	/** Calls `then` with a connection that takes calls, at once if there is one, or `fail` with why there is none. */
	use(then: (connection: Http2Connection) => void, fail: (reason: string) => void): void {
		if (this.#isReady && this.#connection?.isUsable) {
			then(this.#connection);
			return;
		}
		const obstacle = this.#isClosed
			? "the client is closed"
			: this.pauseMs > 0
				? this.#failure!.reason
				: null;
		if (obstacle !== null) {
			queueMicrotask(() => fail(obstacle));
			return;
		}
		const connection = this.#connecting();
		connection.ready.then(
			() => (connection.isUsable ? then(connection) : fail("the server closed the connection")),
			(error: Error) => fail(error.message),
		);
	}

	/** Ends every call. Idempotent. */
	close(): void {
		this.#isClosed = true;
		for (const connection of this.#earlier) connection.close();
		this.#connection?.close();
	}

	#connecting(): Http2Connection {
		if (this.#connection?.isUsable) return this.#connection;
		if (this.#connection?.isPestered) this.#keepaliveTimeMs *= 2;
		if (this.#connection)
			this.#earlier = [...this.#earlier, this.#connection].filter(({ isClosed }) => !isClosed);
		const connection = new Http2Connection({ ...this.#options, keepaliveTimeMs: this.#keepaliveTimeMs });
		this.#connection = connection;
		this.#isReady = false;
		connection.ready.then(
			() => {
				this.#failure = null;
				this.#isReady = true;
			},
			(error: Error) => {
				this.#failure = {
					reason: error.message,
					retryAtMs: performance.now() + this.#options.retryIntervalMs,
				};
			},
		);
		return connection;
	}
}
