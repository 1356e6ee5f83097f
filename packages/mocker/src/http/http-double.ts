// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createRequestContext, DynError, invalidArgument } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import { stringifyJson } from "@dyn/protocols/json";
import { createMockerEngine, type MockerEngine } from "../engine/mocker-engine.js";
import type { MockerEngineOptions } from "../engine/mocker-options.js";
import { type CompletionCall, fromCompletionBody } from "./completion-request.js";
import { CompletionResponse } from "./completion-response.js";
import { IterationLog, prometheusText } from "./iteration-log.js";
import { KvEventBuffer } from "./kv-event-buffer.js";

export interface HttpDoubleOptions {
	/** Of the simulated engine behind it. */
	readonly engine?: MockerEngineOptions | undefined;
	/** Default 127.0.0.1, any free port. */
	readonly host?: string | undefined;
	readonly port?: number | undefined;
	/** Default "1.3.0". */
	readonly version?: string | undefined;
}

/** A server that stands in for `trtllm-serve` over HTTP. */
export interface HttpDouble {
	readonly engine: MockerEngine;
	readonly info: EngineInfo;
	/** "http://127.0.0.1:1234". */
	readonly url: string;
	close(): Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}

/** Serves a simulated engine by those routes of trtllm-serve that take and tell token ids. */
export async function createHttpDouble(options: HttpDoubleOptions = {}): Promise<HttpDouble> {
	const { host = "127.0.0.1", port = 0, version = "1.3.0" } = options;
	const iterations = new IterationLog();
	const { onIteration } = iterations;
	const engine = createMockerEngine({ ...options.engine, remembersTokens: true, onIteration });
	const info = await engine.start();
	const kvEvents = new KvEventBuffer(engine);
	const routes: Readonly<Record<string, (body: string, response: ServerResponse) => unknown>> = {
		"GET /health": (_, response) => {
			response.writeHead(engine.health().status === "healthy" ? 200 : 503).end();
		},
		"GET /version": () => ({ version }),
		"GET /v1/models": () => ({
			object: "list",
			data: [{ id: info.model, object: "model", owned_by: "tensorrt_llm" }],
		}),
		"GET /metrics": () => iterations.drain(info),
		"GET /prometheus/metrics": (_, response) => {
			response.setHeader("content-type", "text/plain").end(prometheusText(engine.load()));
		},
		"GET /perf_metrics": () => [],
		"POST /kv_cache_events": () => kvEvents.drain(),
		"POST /v1/completions": (body, response) => complete(engine, parseBody(body), response),
	};
	const server = createServer(async (request, response) => {
		try {
			const route = routes[`${request.method} ${request.url?.split("?")[0]}`];
			if (!route) throw new DynError("NOT_FOUND", "Not Found");
			const answer = await route(await bodyOf(request), response);
			if (answer !== undefined)
				response.setHeader("content-type", "application/json").end(stringifyJson(answer));
		} catch (error) {
			refuse(response, DynError.from(error));
		}
	});
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject).listen(port, host, resolve);
	}).catch(async (cause: Error) => {
		await engine.close();
		throw new DynError(
			"UNAVAILABLE",
			`cannot listen on ${host}:${port} (${cause.message}); choose another port`,
			{ cause },
		);
	});
	const close = async () => {
		server.close();
		server.closeAllConnections();
		await engine.close();
	};
	const url = `http://${host}:${(server.address() as AddressInfo).port}`;
	return { engine, info, url, close, [Symbol.asyncDispose]: close };
}

async function complete(
	engine: MockerEngine,
	call: CompletionCall,
	response: ServerResponse,
): Promise<unknown> {
	const { request, streams, includesUsage } = call;
	const left = new AbortController();
	response.once("close", () => left.abort());
	const id = `cmpl-${randomUUID()}`;
	const answer = new CompletionResponse(id, request);
	const outputs = engine.generate(request, createRequestContext({ id, signal: left.signal }));
	if (!streams) {
		for await (const output of outputs) answer.add(output);
		return answer.whole();
	}
	for await (const output of outputs) {
		if (!response.headersSent) response.writeHead(200, { "content-type": "text/event-stream" });
		const isTaken = response.write(`data: ${stringifyJson(answer.part(output))}\n\n`);
		if (!isTaken) await once(response, "drain", { signal: left.signal }).catch(() => {}); // or gone
	}
	if (includesUsage) response.write(`data: ${stringifyJson(answer.usagePart())}\n\n`);
	response.end("data: [DONE]\n\n");
	return undefined;
}

function refuse(response: ServerResponse, { rawMessage, httpStatus, code }: DynError): void {
	if (response.headersSent) {
		response.destroy();
		return;
	}
	const status = httpStatus < 500 ? httpStatus : 500;
	response.writeHead(status, { "content-type": "application/json" });
	response.end(
		stringifyJson({ object: "error", message: rawMessage, type: code, param: null, code: status }),
	);
}

/** Largest body, bytes. */
const MAX_BODY = 16 * 2 ** 20;

async function bodyOf(request: IncomingMessage): Promise<string> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of request as AsyncIterable<Buffer>) {
		size += chunk.length;
		if (size > MAX_BODY) throw new DynError("PAYLOAD_TOO_LARGE", "the body is too large");
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString();
}

function parseBody(text: string): CompletionCall {
	let body: unknown;
	try {
		body = JSON.parse(text);
	} catch {
		throw invalidArgument("body", "the body is no JSON");
	}
	if (typeof body !== "object" || body === null || Array.isArray(body))
		throw invalidArgument("body", "the body is no JSON object");
	return fromCompletionBody(body as Record<string, unknown>);
}
