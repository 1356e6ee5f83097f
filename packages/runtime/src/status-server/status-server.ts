// SPDX-License-Identifier: Apache-2.0
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { DynError, type Metrics } from "@dyn/common";
import { type Control, controlRequest } from "./control.js";
import { sendFile } from "./send-file.js";

export interface StatusServerOptions {
	readonly host?: string;
	/** 0: any free port. */
	readonly port: number;
	readonly metrics: Metrics;
	/** State of each endpoint by name, asked for at every request. */
	readonly endpoints: () => Readonly<Record<string, boolean>>;
	/** URL path → file that is served there; entries may come and go. No other file can be reached. */
	readonly files?: ReadonlyMap<string, string>;
	/** Answers other paths; asked first. Default: there are none. */
	readonly control?: Control | undefined;
}

export interface StatusServer {
	readonly address: string;
	close(): Promise<void>;
}

/**
 * A worker's own port: `/health` and `/live` (200 when every endpoint is ready, else 503, with Dynamo's JSON),
 * `/metrics` (Prometheus text), the files that a model card names and what `control` answers.
 * @throws DynError INVALID_ARGUMENT when it cannot listen there, because the port is taken for example
 */
export async function createStatusServer({
	host = "127.0.0.1",
	port,
	metrics,
	endpoints,
	files,
	control,
}: StatusServerOptions): Promise<StatusServer> {
	const began = performance.now();
	const server = createServer((request, response) => {
		const path = request.url?.split("?", 1)[0] ?? "";
		const controlled = control?.(controlRequest(request, path));
		if (controlled)
			return controlled.then(
				({ status, body }) => answer(response, status, body),
				() => answer(response, 500, { message: `${path} failed` }),
			);
		if (request.method !== "GET" && request.method !== "HEAD")
			return answer(response.setHeader("allow", "GET, HEAD"), 405, { message: "only GET is served here" });
		if (path === "/health" || path === "/live") return health(response);
		const file = files?.get(path);
		if (file !== undefined)
			return sendFile(response, file).catch(() => {
				if (response.headersSent) response.destroy();
				else answer(response, 500, { message: `${path} cannot be read` });
			});
		if (path !== "/metrics")
			return answer(response, 404, { message: `Route not found: ${request.method} ${path}` });
		metrics.expose().then(
			(text) =>
				response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(text),
			() => answer(response, 500, { message: "metrics could not be collected" }),
		);
	});
	const health = (response: ServerResponse) => {
		const states = Object.entries(endpoints());
		const ready = states.length > 0 && states.every(([, isReady]) => isReady);
		const ms = performance.now() - began;
		answer(response, ready ? 200 : 503, {
			status: ready ? "ready" : "notready",
			endpoints: Object.fromEntries(states.map(([name, isReady]) => [name, isReady ? "ready" : "notready"])),
			uptime: { secs: Math.floor(ms / 1000), nanos: Math.floor((ms % 1000) * 1e6) },
		});
	};
	await listen(server, port, host);
	return {
		address: `http://${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`,
		close: () =>
			new Promise((resolve) => {
				server.close(() => resolve());
				server.closeAllConnections();
			}),
	};
}

function answer(response: ServerResponse, status: number, body: unknown): void {
	response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

function listen(server: Server, port: number, host: string): Promise<void> {
	return new Promise((resolve, reject) => {
		server.once("error", (error: NodeJS.ErrnoException) => {
			const what =
				error.code === "EADDRINUSE"
					? `port ${port} is in use; choose another one`
					: `cannot listen on port ${port} of ${host}: ${error.message}; choose another port or host`;
			reject(new DynError("INVALID_ARGUMENT", what, { cause: error }));
		});
		server.listen(port, host, resolve);
	});
}
