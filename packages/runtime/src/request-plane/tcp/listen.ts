// SPDX-License-Identifier: Apache-2.0
import type { AddressInfo, Server } from "node:net";
import { DynError } from "@dyn/common";

/**
 * Listens and resolves with the port.
 * @throws DynError INVALID_ARGUMENT when it cannot, because the port is taken for example
 */
export function listen(server: Server, host: string, port: number): Promise<number> {
	return new Promise((resolve, reject) => {
		server.once("error", (cause) =>
			reject(
				new DynError(
					"INVALID_ARGUMENT",
					`cannot listen on ${formatHostPort(host, port)}: ${cause.message}; choose another host or port`,
					{ cause },
				),
			),
		);
		server.listen({ host, port, backlog: 4096 }, () => {
			server.removeAllListeners("error");
			server.on("error", () => {}); // accepting failed, for want of descriptors say; the next one may succeed
			resolve((server.address() as AddressInfo).port);
		});
	});
}

export function formatHostPort(host: string, port: number): string {
	return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** @throws DynError UNAVAILABLE when `text` is no `host:port` */
export function parseHostPort(text: string): { readonly host: string; readonly port: number } {
	const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
	const port = Number(found?.[3]);
	if (!found || port > 65535)
		throw new DynError("UNAVAILABLE", `${text} is no address of the form host:port`);
	return { host: found[1] ?? found[2]!, port };
}
