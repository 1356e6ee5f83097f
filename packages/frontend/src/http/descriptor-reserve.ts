// SPDX-License-Identifier: Apache-2.0
import { closeSync, openSync, readFileSync } from "node:fs";
import type { Server } from "node:http";
import type { Socket } from "node:net";
import { DynError, type Logger } from "@dyn/common";
import { refuseWith } from "./refuse-connection.js";

/** Descriptors that connections of clients may not have, at most: for workers, files and refusals. */
const MOST_RESERVED = 64;
/** Refusals are told to the operator no more often than this, ms. */
const COMPLAINT_MS = 60_000;

/**
 * Answers 503 to connections that would take the last file descriptors of the process. Without this the kernel's queue is
 * emptied without a word when there is none left, and the admitted requests find none for their workers.
 */
export function reserveDescriptors(
	server: Server,
	logger: Logger,
	limit: number | null = descriptorLimit(),
): void {
	if (limit === null) return;
	const reserved = Math.min(MOST_RESERVED, Math.floor(limit / 4));
	const refused = new Set<Socket>();
	let complainedMs = Number.NEGATIVE_INFINITY;

	function refuse(socket: Socket): void {
		refused.add(socket);
		socket.on("error", () => {}); // "close" follows
		socket.on("close", () => refused.delete(socket));
		socket.resume(); // what it sends is thrown away: closing over it would reset the connection, and the answer with it
		refuseWith(
			socket,
			503,
			new DynError("UNAVAILABLE", "the server has too many connections; try again in a moment"),
		);
		// They live on the reserve, half of which stays free.
		if (refused.size > reserved / 2) for (const oldest of refused) return void oldest.destroy();
	}

	const [serve] = server.listeners("connection") as ((socket: Socket) => void)[];
	server.removeAllListeners("connection").on("connection", (socket: Socket) => {
		if (lowestFree() < limit - reserved) return void serve!.call(server, socket);
		const nowMs = performance.now();
		if (nowMs - complainedMs > COMPLAINT_MS) {
			complainedMs = nowMs;
			logger.warn("file descriptors run out: new connections get 503; raise the limit (ulimit -n)", {
				limit,
			});
		}
		refuse(socket);
	});
}

/** POSIX gives out the lowest free number: what is below is open. Infinite when there is none. */
function lowestFree(): number {
	try {
		const descriptor = openSync("/dev/null", "r");
		closeSync(descriptor);
		return descriptor;
	} catch {
		return Number.POSITIVE_INFINITY;
	}
}

/** Most descriptors that this process may have open; null where the system does not say. */
function descriptorLimit(): number | null {
	try {
		const found = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
		return found ? Number(found[1]) : null;
	} catch {
		return null;
	}
}
