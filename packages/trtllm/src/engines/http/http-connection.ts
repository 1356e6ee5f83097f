// SPDX-License-Identifier: Apache-2.0
import {
	type ClientRequest,
	Agent as HttpAgent,
	type IncomingMessage,
	request as requestHttp,
} from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { DynError, invalidArgument, linkSignals } from "@dyn/common";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { fromErrorEvent, fromHttpStatus, fromNetwork } from "./http-error.js";
import { sseData } from "./sse-data.js";

/** Idle connections are given up before the server gives them up (uvicorn: after 10 s in TensorRT-LLM). */
const IDLE_MS = 5000;
/** Finds a peer that vanished without a word. */
const KEEP_ALIVE_PROBE_MS = 10_000;
const MAX_ERROR_BYTES = 64 << 10;

export interface HttpCallOptions {
	readonly signal?: AbortSignal | undefined;
	/** The call fails with DEADLINE_EXCEEDED when it is not over by then, ms from now. Default: never. */
	readonly timeoutMs?: number | undefined;
	readonly headers?: Readonly<Record<string, string>> | undefined;
	/** Largest answer. Default 64 MiB. */
	readonly maxBytes?: number | undefined;
}

type Method = "GET" | "POST" | "DELETE";
export type JsonObject = Readonly<Record<string, unknown>>;

/** Calls to one HTTP server, over connections that are kept. */
export class HttpConnection {
	readonly endpoint: string;
	readonly #agent: HttpAgent | HttpsAgent;
	readonly #send: typeof requestHttp;

	/** @throws DynError INVALID_ARGUMENT */
	constructor(endpoint: string) {
		const url = URL.canParse(endpoint) ? new URL(endpoint) : null;
		if (url?.protocol !== "http:" && url?.protocol !== "https:")
			throw invalidArgument(
				"endpoint",
				`${JSON.stringify(endpoint)} is no HTTP address; say http://host:port`,
			);
		this.endpoint = endpoint.replace(/\/+$/, "");
		const isHttps = url.protocol === "https:";
		this.#agent = new (isHttps ? HttpsAgent : HttpAgent)({
			keepAlive: true,
			timeout: IDLE_MS,
			keepAliveMsecs: KEEP_ALIVE_PROBE_MS,
		});
		this.#send = isHttps ? requestHttps : requestHttp;
	}

	/** The whole answer, parsed; integers beyond 2^53 are bigint. An empty body is null. @throws DynError */
	async json(method: Method, path: string, body?: unknown, options: HttpCallOptions = {}): Promise<unknown> {
		const bytes = await this.bytes(method, path, body, options);
		try {
			return bytes.length === 0 ? null : parseJson(bytes.toString());
		} catch (error) {
			throw new DynError("INTERNAL", `${this.#what(method, path)}: the answer is no JSON`, { cause: error });
		}
	}

	/** @throws DynError */
	async bytes(method: Method, path: string, body?: unknown, options: HttpCallOptions = {}): Promise<Buffer> {
		const { maxBytes = 64 << 20 } = options;
		return this.#call(method, path, body, options, async (response) => {
			const parts: Buffer[] = [];
			let size = 0;
			for await (const part of response as AsyncIterable<Buffer>) {
				size += part.length;
				if (size > maxBytes)
					throw new DynError(
						"PAYLOAD_TOO_LARGE",
						`${this.#what(method, path)}: the answer has more than ${maxBytes} bytes`,
					);
				parts.push(part);
			}
			return Buffer.concat(parts);
		});
	}

	/** The objects of an answer of server-sent events, up to `[DONE]`. @throws DynError DISCONNECTED when it ends without */
	async *events(path: string, body: unknown, options: HttpCallOptions): AsyncGenerator<JsonObject, void> {
		const what = this.#what("POST", path);
		const { signal, unlink } = withTimeout(options);
		let response: IncomingMessage | undefined;
		let isDone = false;
		try {
			response = await this.#open("POST", path, body, options, signal);
			for await (const data of sseData(response.iterator({ destroyOnReturn: false }))) {
				if (data === "[DONE]") {
					isDone = true;
					return;
				}
				const event = objectOf(data, what);
				if (event["error"] || event["object"] === "error") throw fromErrorEvent(what, event);
				yield event;
			}
			throw new DynError("DISCONNECTED", `${what}: the answer ended without its [DONE]`);
		} catch (error) {
			throw fromNetwork(what, error, signal);
		} finally {
			unlink();
			if (response && isDone) letGo(response);
			else response?.destroy();
		}
	}

	close(): void {
		this.#agent.destroy();
	}

	async #call<T>(
		method: Method,
		path: string,
		body: unknown,
		options: HttpCallOptions,
		use: (response: IncomingMessage) => Promise<T>,
	): Promise<T> {
		const { signal, unlink } = withTimeout(options);
		try {
			return await use(await this.#open(method, path, body, options, signal));
		} catch (error) {
			throw fromNetwork(this.#what(method, path), error, signal);
		} finally {
			unlink();
		}
	}

	/** An answer whose status says success. What has no effect is sent again once when a kept connection had been given up. */
	async #open(
		method: Method,
		path: string,
		body: unknown,
		options: HttpCallOptions,
		signal: AbortSignal,
	): Promise<IncomingMessage> {
		let request: ClientRequest | undefined;
		const once = () => this.#sendOnce(method, path, body, options, signal, (made) => (request = made));
		const response = await once().catch((error: NodeJS.ErrnoException) => {
			const wasGivenUp = request?.reusedSocket && (error.code === "ECONNRESET" || error.code === "EPIPE");
			if (method === "GET" && wasGivenUp && !signal.aborted) return once();
			throw error;
		});
		const status = response.statusCode ?? 0;
		if (status >= 200 && status < 300) return response;
		throw fromHttpStatus(this.#what(method, path), status, await beginning(response));
	}

	#sendOnce(
		method: Method,
		path: string,
		body: unknown,
		{ headers }: HttpCallOptions,
		signal: AbortSignal,
		onRequest: (request: ClientRequest) => void,
	): Promise<IncomingMessage> {
		const text = body === undefined ? undefined : stringifyJson(body);
		return new Promise((resolve, reject) => {
			const request = this.#send(this.endpoint + path, {
				method,
				agent: this.#agent,
				signal,
				headers: {
					...headers,
					...(text === undefined
						? {}
						: { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
				},
			});
			onRequest(request);
			request.once("response", resolve).on("error", reject);
			request.end(text);
		});
	}

	#what(method: Method, path: string): string {
		return `${method} ${this.endpoint}${path}`;
	}
}

/** Longest time that a timer of Node can wait. */
const LONGEST_MS = 2 ** 31 - 1;

function withTimeout({ signal, timeoutMs }: HttpCallOptions): ReturnType<typeof linkSignals> {
	const limit =
		timeoutMs === undefined ? undefined : AbortSignal.timeout(Math.min(LONGEST_MS, Math.ceil(timeoutMs)));
	const signals = [signal, limit];
	return linkSignals(...signals.filter((each) => each !== undefined));
}

/** What is left is nothing but the end of the answer; the connection is kept when it comes. */
function letGo(response: IncomingMessage): void {
	response.on("error", () => {});
	response.setTimeout(IDLE_MS, () => response.destroy());
	response.resume();
}

function objectOf(text: string, what: string): JsonObject {
	try {
		const value = parseJson(text);
		if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
	} catch {
		// said below
	}
	throw new DynError("INTERNAL", `${what}: an event of the answer is no JSON object`);
}

async function beginning(response: IncomingMessage): Promise<string> {
	let text = "";
	for await (const part of response) {
		text += part;
		if (text.length > MAX_ERROR_BYTES) break;
	}
	return text;
}
