// SPDX-License-Identifier: Apache-2.0
import { RequestConnection } from "./request-connection.js";
import type { Sockets } from "./sockets.js";

/** Requests that wait on one connection before another one is opened. */
const PIPELINED = 16;
/** Connections per worker. */
const MAX_CONNECTIONS = 8;
/** A connection that was not used for this long is closed, ms. */
const IDLE_MS = 60_000;

interface Pooled {
	readonly connection: RequestConnection;
	readonly idle: NodeJS.Timeout;
}

/** Request connections by worker address, kept open between requests. */
export class ConnectionPool {
	readonly #sockets: Sockets;
	readonly #byAddress = new Map<string, Set<Pooled>>();

	constructor(sockets: Sockets) {
		this.#sockets = sockets;
	}

	/** Resolves when the worker at `address` has accepted the request. @throws DynError as `RequestConnection.send` */
	send(address: string, frame: Buffer): Promise<void> {
		const { connection, idle } = this.#pick(address);
		idle.refresh();
		return connection.send(frame);
	}

	close(): void {
		for (const pool of this.#byAddress.values()) for (const { connection } of pool) connection.close();
	}

	#pick(address: string): Pooled {
		const pool = this.#byAddress.get(address) ?? new Set();
		this.#byAddress.set(address, pool);
		let best: Pooled | null = null;
		for (const each of pool) if (!best || each.connection.pending < best.connection.pending) best = each;
		if (best && (best.connection.pending < PIPELINED || pool.size >= MAX_CONNECTIONS)) return best;
		return this.#open(address, pool);
	}

	#open(address: string, pool: Set<Pooled>): Pooled {
		const connection = new RequestConnection(address, this.#sockets, () => {
			clearTimeout(pooled.idle);
			pool.delete(pooled);
			if (pool.size === 0 && this.#byAddress.get(address) === pool) this.#byAddress.delete(address);
		});
		const idle = setTimeout(() => connection.close(), IDLE_MS).unref();
		const pooled: Pooled = { connection, idle };
		pool.add(pooled);
		return pooled;
	}
}
