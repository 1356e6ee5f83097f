// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface SeverableWire {
	readonly endpoint: string;
	/** Breaks every connection and refuses new ones. */
	cut(): void;
	mend(): void;
	close(): void;
}

/** A way to an http server that can be cut while the server goes on. */
export async function startWire(endpoint: string): Promise<SeverableWire> {
	const { hostname, port } = new URL(endpoint);
	const sockets = new Set<Socket>();
	let whole = true;
	const wire = createServer((near) => {
		const far = connect(Number(port), hostname);
		for (const socket of [near, far]) {
			sockets.add(socket);
			socket.on("error", () => {});
			socket.on("close", () => {
				sockets.delete(socket);
				near.destroy();
				far.destroy();
			});
		}
		if (whole) near.pipe(far).pipe(near);
		else near.destroy();
	}).listen(0, "127.0.0.1");
	await once(wire, "listening");
	const cut = () => {
		whole = false;
		for (const socket of sockets) socket.destroy();
	};
	const address = wire.address() as { port: number };
	return {
		endpoint: `http://127.0.0.1:${address.port}`,
		cut,
		mend: () => {
			whole = true;
		},
		close: () => {
			cut();
			wire.close();
		},
	};
}
