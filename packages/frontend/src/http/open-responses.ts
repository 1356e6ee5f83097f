// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/**
 * The responses that each connection still owes. Node tells only the response whose turn it is that its connection
 * closed; requests pipelined behind it would go on for nobody, so they are told here.
 */
export class OpenResponses {
	readonly #bySocket = new WeakMap<Socket, Set<ServerResponse>>();

	/** Follows `response` until it emits "close": sent, or its connection gone. Call it before it is answered. */
	add({ socket }: IncomingMessage, response: ServerResponse): void {
		const open = this.#bySocket.get(socket) ?? this.#watch(socket);
		open.add(response);
		response.once("close", () => open.delete(response));
	}

	/** True while a request that arrived whole waits for its answer, or part of an answer is out. */
	owes(socket: Socket): boolean {
		const open = [...(this.#bySocket.get(socket) ?? [])];
		return open.some((response) => response.headersSent || response.req.complete);
	}

	#watch(socket: Socket): Set<ServerResponse> {
		const open = new Set<ServerResponse>();
		this.#bySocket.set(socket, open);
		socket.once("close", () => {
			for (const response of open) {
				if (response.socket) continue; // its turn: Node tells it
				response.destroy();
				response.emit("close");
			}
		});
		return open;
	}
}

/**
 * Resolves when `response` is sent or its connection is gone. An answer is complete by now: a client that has not
 * taken the rest of it after `limitMs` loses its connection.
 */
export function settled(
	{ socket }: IncomingMessage,
	response: ServerResponse,
	limitMs: number,
): Promise<void> {
	if (response.closed || response.destroyed) return Promise.resolve();
	return new Promise((resolve) => {
		const slow = setTimeout(() => socket.destroy(), limitMs);
		response.once("close", () => {
			clearTimeout(slow);
			resolve();
		});
	});
}
