// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Socket } from "zeromq";

/**
 * Binds and resolves with the endpoint, which has the port in it where `endpoint` has `*`. Closes the socket on failure.
 * @throws DynError INVALID_ARGUMENT
 */
export async function bindSocket(
	socket: Socket & { readonly lastEndpoint: string | null },
	endpoint: string,
): Promise<string> {
	try {
		await socket.bind(endpoint);
		return socket.lastEndpoint!;
	} catch (cause) {
		socket.close();
		throw unusable(
			`cannot listen for events on ${endpoint}`,
			"a free port and an address of this machine",
			cause,
		);
	}
}

/**
 * Begins to connect to each endpoint; libzmq goes on until it can. Closes the socket on failure.
 * @throws DynError INVALID_ARGUMENT when an endpoint is malformed
 */
export function connectSocket(socket: Socket, endpoints: readonly string[]): void {
	for (const endpoint of endpoints)
		try {
			socket.connect(endpoint);
		} catch (cause) {
			socket.close();
			throw unusable(
				`cannot connect to ${endpoint} for events`,
				"an address of the form tcp://host:port",
				cause,
			);
		}
}

function unusable(what: string, instead: string, cause: unknown): DynError {
	const reason = cause instanceof Error ? cause.message : String(cause);
	return new DynError("INVALID_ARGUMENT", `${what}: ${reason}; choose ${instead}`, { cause });
}
