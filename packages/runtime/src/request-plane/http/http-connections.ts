// SPDX-License-Identifier: Apache-2.0
import {
	type Agent,
	type ClientRequest,
	createServer,
	Agent as PlainAgent,
	request as plainRequest,
	type RequestListener,
	type Server,
} from "node:http";
import { createServer as createTlsServer, Agent as TlsAgent, request as tlsRequest } from "node:https";
import { DynError } from "@dyn/common";
import { clientTls, serverTls, type TcpTls } from "../tcp/sockets.js";

const SERVER = { noDelay: true, requestTimeout: 60_000 } as const;
const AGENT = { keepAlive: true, noDelay: true } as const;

/** How the plane opens and takes connections: plain, or under TLS. */
export class HttpConnections {
	readonly scheme: "http" | "https";
	readonly #tls: TcpTls | null;
	readonly #agent: Agent;

	constructor(tls: TcpTls | null) {
		this.#tls = tls;
		this.scheme = tls ? "https" : "http";
		this.#agent = tls ? new TlsAgent({ ...AGENT, ...clientTls(tls) }) : new PlainAgent(AGENT);
	}

	/** @throws DynError UNAVAILABLE when one side is under TLS and the other is not */
	post(url: string, headers: Readonly<Record<string, string>>): ClientRequest {
		if (!url.startsWith(`${this.scheme}:`))
			throw new DynError(
				"UNAVAILABLE",
				`the worker at ${url} ${this.#tls ? "is not under TLS and this process is" : "is under TLS and this process is not"}; give both a certificate and a key`,
			);
		const open = this.#tls ? tlsRequest : plainRequest;
		return open(url, { method: "POST", agent: this.#agent, headers });
	}

	createServer(listener: RequestListener): Server {
		if (!this.#tls) return createServer(SERVER, listener);
		const server = createTlsServer({ ...SERVER, ...serverTls(this.#tls) }, listener);
		server.on("tlsClientError", () => {}); // somebody who may not, or does not, speak TLS: nobody's business here
		return server;
	}

	/** Connections that were opened; those that were taken are the server's. */
	close(): void {
		this.#agent.destroy();
	}
}
