// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { DynError, noTracer, type Span, traceFields } from "@dyn/common";
import { stringifyJson } from "@dyn/protocols/json";
import { formatEndpointPath } from "@dyn/runtime";
import { serveEmbeddings } from "./embeddings/embeddings-route.js";
import { startEventLoopCanary } from "./event-loop-canary.js";
import { FrontendMetrics } from "./frontend-metrics.js";
import { chatEndpoint, completionEndpoint, serveGeneration } from "./generation-route.js";
import { createApiKeyCheck } from "./http/api-keys.js";
import { checkHeaders } from "./http/check-headers.js";
import { reserveDescriptors } from "./http/descriptor-reserve.js";
import { errorBody, retryHeaders } from "./http/error-body.js";
import { linger } from "./http/linger.js";
import { OpenResponses, settled } from "./http/open-responses.js";
import { refuseConnection } from "./http/refuse-connection.js";
import { serveStaticFile } from "./http/static-files.js";
import { readTraceContext } from "./http/trace-context.js";
import { Readmission } from "./migration/readmission.js";
import { ModelDirectory, type ServableModel } from "./models/model-directory.js";
import { type FrontendOptions, type ResolvedFrontendOptions, resolveFrontendOptions } from "./options.js";
import { WorkerMetrics } from "./worker-metrics.js";

/** An OpenAI-compatible HTTP server over the models of a runtime. */
export interface Frontend {
	/** "http://127.0.0.1:8000" */
	readonly address: string;
	/** Resolves when at least one model can be served. */
	readonly ready: Promise<void>;
	/** Refuses new requests with 503, lets admitted ones finish and their clients read to the end, then stops listening. */
	drain(): Promise<void>;
	/** Ends everything now. Idempotent. */
	close(): Promise<void>;
	/** Resolves when it was closed, by `drain` or `close`. */
	readonly closed: Promise<void>;
}

/** @throws DynError INVALID_ARGUMENT when the port is taken */
export async function createFrontend(options: FrontendOptions): Promise<Frontend> {
	const frontend = new HttpFrontend(resolveFrontendOptions(options));
	await frontend.listen();
	return frontend;
}

type Route = (
	request: IncomingMessage,
	response: ServerResponse,
	parameter: string,
	span: Span,
) => Promise<void> | void;

class HttpFrontend implements Frontend {
	readonly ready: Promise<void>;
	readonly closed: Promise<void>;
	readonly #options: ResolvedFrontendOptions;
	readonly #server: Server;
	readonly #models: ModelDirectory;
	readonly #metrics: FrontendMetrics;
	readonly #readmission: Readmission;
	readonly #checkApiKey: (authorization: string | undefined) => void;
	readonly #routes: Readonly<Record<string, { readonly method: "GET" | "POST"; readonly route: Route }>>;
	readonly #open = new OpenResponses();
	#state: "serving" | "draining" | "closed" = "serving";
	#address = "";
	#inflight = 0;
	#idle: (() => void)[] = [];
	#stopCanary: () => void = () => {};
	#resolveClosed!: () => void;

	constructor(options: ResolvedFrontendOptions) {
		this.#options = options;
		this.#metrics = new FrontendMetrics(options.metrics, options.migration.limit);
		this.#readmission = new Readmission(options.logger);
		this.#checkApiKey = createApiKeyCheck(options.apiKeys);
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		let resolveReady!: () => void;
		this.ready = new Promise((resolve) => {
			resolveReady = resolve;
		});
		const runtime = new WorkerMetrics(options.metrics).watched(options.runtime);
		this.#models = new ModelDirectory(runtime, options.cacheDirectory, options.logger, (card) => {
			this.#metrics.modelAdded(card);
			resolveReady();
		});
		this.#metrics.showReady(() => this.#models.list().map(({ card }) => card.name));
		const generate =
			(endpoint: typeof chatEndpoint): Route =>
			(request, response, _parameter, span) =>
				serveGeneration(
					endpoint,
					{ models: this.#models, metrics: this.#metrics, readmission: this.#readmission, options },
					String(response.getHeader("x-request-id")),
					span,
					request,
					response,
				);
		this.#routes = {
			"/v1/chat/completions": { method: "POST", route: generate(chatEndpoint) },
			"/v1/completions": { method: "POST", route: generate(completionEndpoint) },
			"/v1/embeddings": {
				method: "POST",
				route: (request, response, _parameter, span) =>
					serveEmbeddings(
						{ models: this.#models, metrics: this.#metrics, options },
						String(response.getHeader("x-request-id")),
						span,
						request,
						response,
					),
			},
			"/v1/models": {
				method: "GET",
				route: (_request, response) =>
					sendJson(response, 200, { object: "list", data: this.#models.list().map(modelObject) }),
			},
			"/v1/models/*": {
				method: "GET",
				route: (_request, response, id) => sendJson(response, 200, modelObject(this.#models.get(id))),
			},
			"/health": { method: "GET", route: (_request, response) => this.#health(response) },
			"/live": {
				method: "GET",
				route: (_request, response) =>
					sendJson(response, 200, { status: "live", message: "Service is live" }),
			},
			"/metrics": { method: "GET", route: (_request, response) => this.#exposeMetrics(response) },
		};
		this.#server = createServer(
			{
				noDelay: true,
				headersTimeout: options.limits.requestTimeoutMs,
				requestTimeout: options.limits.requestTimeoutMs,
				connectionsCheckingInterval: 500,
				keepAliveTimeout: 75_000,
			},
			(request, response) => void this.#serve(request, response),
		);
		reserveDescriptors(this.#server, options.logger);
		this.#server.on("clientError", (error, socket) =>
			refuseConnection(error, socket, this.#open.owes(socket as Socket)),
		);
	}

	/** Empty until `listen`. */
	get address(): string {
		return this.#address;
	}

	listen(): Promise<void> {
		const { host, port } = this.#options;
		return new Promise((resolve, reject) => {
			this.#server.once("error", (error: NodeJS.ErrnoException) => {
				this.#models.close();
				reject(
					error.code === "EADDRINUSE"
						? new DynError(
								"INVALID_ARGUMENT",
								`port ${port} is in use; stop what listens there or choose another one with --http-port`,
								{ cause: error },
							)
						: new DynError("INVALID_ARGUMENT", `cannot listen on ${host}:${port}: ${error.message}`, {
								cause: error,
							}),
				);
			});
			this.#server.listen(port, host, () => {
				const bound = this.#server.address() as AddressInfo;
				const anywhere = bound.address === "0.0.0.0" || bound.address === "::";
				const name = anywhere ? "localhost" : bound.family === "IPv6" ? `[${bound.address}]` : bound.address;
				this.#address = `http://${name}:${bound.port}`;
				this.#stopCanary = startEventLoopCanary(this.#options.metrics);
				resolve();
			});
		});
	}

	async drain(): Promise<void> {
		if (this.#state === "serving") this.#state = "draining";
		if (this.#inflight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
		await this.close();
	}

	close(): Promise<void> {
		if (this.#state === "closed") return this.closed;
		this.#state = "closed";
		this.#models.close();
		this.#readmission.close();
		this.#stopCanary();
		this.#server.close(this.#resolveClosed);
		this.#server.closeAllConnections();
		return this.closed;
	}

	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const given = request.headers["x-request-id"];
		const requestId =
			typeof given === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(given) ? given : randomUUID();
		response.setHeader("x-request-id", requestId);
		if (this.#state !== "serving") response.setHeader("connection", "close");
		response.on("error", () => {}); // a broken socket also closes the response, which is handled
		this.#open.add(request, response);
		const path = request.url?.split("?", 1)[0] ?? "/";
		const counted = path.startsWith("/v1/");
		if (counted) this.#inflight++;
		const span = (counted ? this.#options.tracer : noTracer).start("http-request", {
			parent: readTraceContext(request),
			kind: "server",
			attributes: { request_id: requestId, method: request.method, path: path.slice(0, 200) },
		});
		try {
			await this.#route(path, request, response, span);
		} catch (error) {
			this.#fail(path, requestId, request, response, error, span);
		} finally {
			await settled(request, response, this.#options.limits.slowClientMs);
			span.set({ status: response.headersSent ? response.statusCode : null });
			span.end();
			if (counted && --this.#inflight === 0) for (const resolve of this.#idle.splice(0)) resolve();
		}
	}

	async #route(path: string, request: IncomingMessage, response: ServerResponse, span: Span): Promise<void> {
		checkHeaders(request);
		const isModel = path.startsWith("/v1/models/") && path.length > "/v1/models/".length;
		const name = isModel ? "/v1/models/*" : path;
		const found = Object.hasOwn(this.#routes, name) ? this.#routes[name]! : null;
		const { staticDirectory } = this.#options;
		const isRead = request.method === "GET" || request.method === "HEAD";
		if (!found) {
			if (isRead && staticDirectory && (await serveStaticFile(staticDirectory, path, request, response)))
				return;
			throw new DynError("NOT_FOUND", `Route not found: ${request.method} ${path.slice(0, 200)}`);
		}
		if (request.method !== found.method && !(found.method === "GET" && request.method === "HEAD")) {
			response.setHeader("allow", found.method === "GET" ? "GET, HEAD" : found.method);
			if (request.method === "OPTIONS") return void response.writeHead(204).end();
			throw new DynError("METHOD_NOT_ALLOWED", `${path} takes ${found.method}, not ${request.method}`);
		}
		if (path.startsWith("/v1/")) {
			this.#checkApiKey(request.headers.authorization);
			if (this.#state !== "serving") throw new DynError("DRAINING", "the server is shutting down");
		}
		const parameter = isModel ? decodeModelId(path.slice("/v1/models/".length)) : "";
		await found.route(request, response, parameter, span);
	}

	/** Answers with an error, unless the client is gone or has part of an answer already. */
	#fail(
		path: string,
		requestId: string,
		request: IncomingMessage,
		response: ServerResponse,
		thrown: unknown,
		span: Span,
	): void {
		const error = DynError.from(thrown);
		if (error.code === "CANCELLED") span.set({ cancelled: true });
		else span.fail(error);
		if (error.httpStatus >= 500 && error.code !== "DRAINING" && error.code !== "UNIMPLEMENTED")
			this.#options.logger.error("request failed", {
				request: requestId,
				...traceFields(span.trace),
				path,
				error,
			});
		if (response.destroyed) return;
		if (response.headersSent) return void response.destroy();
		const body = JSON.stringify(errorBody(error));
		const unread = !request.complete;
		response.writeHead(error.httpStatus, {
			"content-type": "application/json",
			"content-length": Buffer.byteLength(body),
			...retryHeaders(error),
			...(unread ? { connection: "close" } : {}),
		});
		if (unread) linger(request, response, body);
		else response.end(body);
	}

	#health(response: ServerResponse): void {
		if (this.#state !== "serving") {
			sendJson(response, 503, {
				status: "not_ready",
				stage: "draining",
				message: "the server is shutting down",
			});
			return;
		}
		const known = this.#models.instances();
		const endpoints = [...new Set(known.map(({ path }) => formatEndpointPath(path)))];
		const instances = known.map(({ id, path, transport }) => ({
			instance_id: id,
			...path,
			transport,
		}));
		sendJson(response, 200, { status: "healthy", endpoints, instances });
	}

	async #exposeMetrics(response: ServerResponse): Promise<void> {
		const text = await this.#options.metrics.expose();
		response.writeHead(200, { "content-type": "text/plain; version=0.0.4; charset=utf-8" }).end(text);
	}
}

function modelObject({ card }: ServableModel) {
	return {
		id: card.name,
		object: "model",
		created: card.createdSeconds,
		owned_by: "dyn",
		context_window: card.contextLength,
	};
}

function decodeModelId(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
	const body = stringifyJson(value);
	response
		.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
		.end(body);
}
