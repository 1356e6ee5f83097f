// SPDX-License-Identifier: Apache-2.0
import { connect, createServer, type Server, type Socket } from "node:net";
import {
	connect as connectTls,
	createServer as createTlsServer,
	type SecureContextOptions,
	type TlsOptions,
} from "node:tls";
import { parseHostPort } from "./listen.js";

/** PEM texts. With `ca` on the side that listens, peers must show a certificate of it (mutual TLS). */
export interface TcpTls {
	readonly cert: string | Uint8Array;
	readonly key: string | Uint8Array;
	readonly ca?: string | Uint8Array;
	/** Name that peers' certificates must be for. Default: the address that is connected to. */
	readonly serverName?: string;
	/** Accept any certificate of the side that listens. For tests. Default false. */
	readonly insecure?: boolean;
}

/** Time for a TLS handshake, ms (Dynamo: DYN_TCP_TLS_HANDSHAKE_TIMEOUT_SECS, 3). */
const HANDSHAKE_MS = 3000;

/** How a plane opens and takes connections: plain, or under TLS. Small frames leave at once. */
export class Sockets {
	readonly #tls: TcpTls | null;

	constructor(tls: TcpTls | null = null) {
		this.#tls = tls;
	}

	/** @param onOpen called when data can flow both ways @throws DynError UNAVAILABLE when the address is none */
	connect(address: string, onOpen: () => void = () => {}): Socket {
		const { host, port } = parseHostPort(address);
		if (!this.#tls) return connect({ host, port, noDelay: true }, onOpen);
		return connectTls({ host, port, ...clientTls(this.#tls) }, onOpen).setNoDelay(true);
	}

	createServer(onSocket: (socket: Socket) => void): Server {
		if (!this.#tls) return createServer({ noDelay: true }, onSocket);
		const server = createTlsServer(serverTls(this.#tls), (socket) => onSocket(socket.setNoDelay(true)));
		server.on("tlsClientError", () => {}); // somebody who may not, or does not, speak TLS: nobody's business here
		return server;
	}
}

/** For the side that connects, in Node's words. */
export function clientTls({ cert, key, ca, serverName, insecure = false }: TcpTls): SecureContextOptions & {
	readonly rejectUnauthorized: boolean;
	readonly servername?: string;
} {
	return {
		cert: pem(cert),
		key: pem(key),
		rejectUnauthorized: !insecure,
		...(ca === undefined ? {} : { ca: pem(ca) }),
		...(serverName === undefined ? {} : { servername: serverName }),
	};
}

/** For the side that listens. */
export function serverTls({ cert, key, ca }: TcpTls): TlsOptions {
	return {
		cert: pem(cert),
		key: pem(key),
		handshakeTimeout: HANDSHAKE_MS,
		...(ca === undefined ? {} : { ca: pem(ca), requestCert: true, rejectUnauthorized: true }),
	};
}

function pem(text: string | Uint8Array): string | Buffer {
	return typeof text === "string" ? text : Buffer.from(text);
}
