// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";

/** A nats-server of this benchmark's own. */
export interface NatsBroker {
	readonly url: string;
	readonly pid: number;
	close(): Promise<void>;
}

/** Null when there is no nats-server in PATH. */
export async function startNatsBroker(): Promise<NatsBroker | null> {
	const child = spawn("nats-server", ["--addr", "127.0.0.1", "--port", "-1"], {
		stdio: ["ignore", "ignore", "pipe"],
	});
	const closed = new Promise<void>((resolve) => {
		child.once("error", () => resolve());
		child.once("exit", () => resolve());
	});
	process.once("exit", () => child.kill());
	let log = "";
	const url = new Promise<string>((resolve) => {
		child.stderr.on("data", (chunk) => {
			log += chunk;
			const found = /Listening for client connections on (127\.0\.0\.1:\d+)[\s\S]*Server is ready/.exec(log);
			if (found) resolve(`nats://${found[1]}`);
		});
	});
	const ready = await Promise.race([url, closed.then(() => null)]);
	if (ready === null) return null;
	return {
		url: ready,
		pid: child.pid!,
		close: () => {
			child.kill();
			return closed;
		},
	};
}
