// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:net";

const ANSWER_MS = 1000;

/**
 * Whether the NATS server at `url` verifies certificates of clients, as the first line that it sends to anybody says. Under
 * TLS 1.3 a client that is refused for its certificate sees no more than a connection that ends.
 */
export function wantsCertificate(url: string): Promise<boolean> {
	const { hostname, port } = new URL(url);
	return new Promise((resolve) => {
		let line = "";
		const socket = connect(Number(port || 4222), hostname.replace(/^\[|\]$/g, ""));
		socket.setEncoding("utf8").setTimeout(ANSWER_MS, () => socket.destroy());
		socket.on("data", (text) => {
			line += text;
			if (line.includes("\r\n") || line.length > 65_536) socket.destroy();
		});
		socket.on("error", () => {}); // "close" follows
		socket.on("close", () => resolve(/^INFO .*"tls_verify":\s*true/.test(line)));
	});
}
