// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";

/** Bytes that the kernel holds of one connection between two processes of this machine, from the server's port to a client's. */
export function bytesInKernel(serverPort: number, clientPort: number): number {
	const port = (address: string) => Number.parseInt(address.split(":")[1]!, 16);
	let held = 0;
	for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1, -1)) {
		const [, local, remote, , queues] = line.trim().split(/\s+/);
		const [sending, received] = queues!.split(":").map((hex) => Number.parseInt(hex, 16));
		if (port(local!) === serverPort && port(remote!) === clientPort) held += sending!;
		if (port(local!) === clientPort && port(remote!) === serverPort) held += received!;
	}
	return held;
}
