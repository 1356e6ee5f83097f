// SPDX-License-Identifier: Apache-2.0
import type { ClientRequest, IncomingMessage, Server, ServerResponse } from "node:http";
import { cancellationError, DynError, type Logger, type RequestContext, silentLogger } from "@dyn/common";
import type { Instance, PayloadCodec } from "../../types.js";
import type { Reachability, RequestPlane, ServedTarget } from "../request-plane.js";
import { ByteQueue } from "../tcp/byte-queue.js";
import { formatHostPort, listen } from "../tcp/listen.js";
import { contextOf, headersOf } from "../tcp/request-context.js";
import { MAX_REQUEST_BYTES } from "../tcp/request-frame.js";
import type { TcpTls } from "../tcp/sockets.js";
import { COMPLETE_FINAL, unwrapItem, wrapError, wrapItem } from "../tcp/stream-item.js";
import { decodeBody, encodeBody, type WireFormat } from "../tcp/wire-format.js";
import { HttpConnections } from "./http-connections.js";

// A request is a POST to the instance's URL, its body JSON or MessagePack by content type. The answer has status 200 and
// the items of the TCP plane (`stream-item.ts`), each behind its length as u32, big-endian.

const CONTENT_TYPES: Readonly<Record<WireFormat, string>> = {
	json: "application/json",
	msgpack: "application/msgpack",
};
/** Time for a worker to take the connection and answer with a status, ms. */
const ANSWER_MS = 5000;

export interface HttpPlaneOptions {
	/** Numeric address at which others reach this process. Default 127.0.0.1. */
	readonly host?: string;
	/** 0, the default, takes any. */
	readonly port?: number;
	/** How bodies of requests to this process should be written. Default msgpack. */
	readonly codec?: WireFormat;
	/** Requests served at once; more are refused as overloaded. Default 10,000. */
	readonly maxRunning?: number;
	/** Certificate and key for all connections of the plane; every process of the deployment needs them then. Default: plain HTTP. */
	readonly tls?: TcpTls;
	readonly logger?: Logger;
}

/** Requests and answers over HTTP/1.1: for networks in which nothing else passes. */
export function createHttpPlane(options: HttpPlaneOptions = {}): RequestPlane {
	return new HttpPlane(options);
}

class HttpPlane implements RequestPlane {
	readonly kind = "http";
	readonly #options: Required<Omit<HttpPlaneOptions, "tls">>;
	readonly #connections: HttpConnections;
	readonly #targets = new Map<string, ServedTarget>();
	#server: Promise<{ readonly server: Server; readonly address: string }> | null = null;
	#running = 0;

	constructor({ tls, ...options }: HttpPlaneOptions) {
		this.#connections = new HttpConnections(tls ?? null);
		this.#options = {
			host: "127.0.0.1",
			port: 0,
			codec: "msgpack",
			maxRunning: 10_000,
			logger: silentLogger,
			...options,
		};
	}

	async register(target: ServedTarget): Promise<Reachability> {
		this.#targets.set(pathOf(target), target);
		this.#server ??= this.#listen();
		const { address } = await this.#server;
		return {
			transport: { kind: "http", url: `${this.#connections.scheme}://${address}${pathOf(target)}` },
			requestCodec: this.#options.codec,
			multiplexed: false,
		};
	}

	unregister(target: Pick<ServedTarget, "id" | "path">): void {
		this.#targets.delete(pathOf(target));
	}

	async *call(
		instance: Instance,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): AsyncGenerator<unknown, void> {
		const { transport } = instance;
		if (transport.kind !== "http") throw new DynError("INTERNAL", "the instance is not reached over http");
		const format = instance.requestCodec ?? "json";
		const { signal } = context;
		if (signal.aborted) throw cancellationError(signal);
		const headers = { "content-type": CONTENT_TYPES[format], ...headersOf(context) };
		const call = this.#connections.post(transport.url, headers);
		const abort = () => call.destroy(cancellationError(signal));
		signal.addEventListener("abort", abort, { once: true });
		try {
			const answer = await answerTo(call, encodeBody(codec.encodeRequest(request), format));
			for await (const item of itemsOf(answer, format)) yield codec.decodeItem(item);
		} catch (error) {
			throw signal.aborted ? cancellationError(signal) : error;
		} finally {
			signal.removeEventListener("abort", abort);
			call.destroy();
		}
	}

	async close(): Promise<void> {
		this.#connections.close();
		const listening = await this.#server?.catch(() => null);
		if (!listening) return;
		await new Promise<void>((resolve) => {
			listening.server.close(() => resolve());
			listening.server.closeAllConnections();
		});
	}

	async #listen() {
		const server = this.#connections.createServer((request, response) => {
			void this.#serve(request, response);
		});
		const { host, port } = this.#options;
		return { server, address: formatHostPort(host, await listen(server, host, port)) };
	}

	/** Never rejects: what fails is the caller's to hear. */
	async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const target = this.#targets.get(request.url ?? "");
		if (!target || request.method !== "POST") return refuse(response, 404, `unknown endpoint ${request.url}`);
		if (this.#running >= this.#options.maxRunning) return refuse(response, 529, "too many requests run here");
		this.#running++;
		const gone = new AbortController();
		response.on("error", () => {}); // "close" follows and says it
		response.on("close", () => gone.abort(new DynError("CANCELLED", "the caller is gone")));
		const format = request.headers["content-type"] === CONTENT_TYPES.msgpack ? "msgpack" : "json";
		let requestBytes = 0;
		let sentBytes = 0;
		const send = (value: unknown) => {
			const bytes = frame(encodeBody(value, format));
			sentBytes += bytes.length;
			return response.write(bytes);
		};
		try {
			const headers = Object.fromEntries(
				Object.entries(request.headers).filter(([, value]) => typeof value === "string"),
			) as Record<string, string>;
			const bytes = await readAll(request);
			requestBytes = bytes.length;
			const body = target.codec.decodeRequest(decodeBody(bytes, format));
			const id = headers["request-id"] ?? "unnamed";
			const context = contextOf(id, headers, gone.signal, this.#options.logger);
			for await (const item of target.handler(body, context)) {
				if (response.destroyed) return;
				if (!send(wrapItem(target.codec.encodeItem(item), target.codec.bareItems ?? false)))
					await drained(response);
			}
			send(COMPLETE_FINAL);
		} catch (error) {
			if (!response.destroyed) send(wrapError(error));
		} finally {
			this.#running--;
			target.traffic?.(requestBytes, sentBytes);
			response.end();
		}
	}
}

function pathOf({ id, path }: Pick<ServedTarget, "id" | "path">): string {
	return `/${id.toString(16)}/${path.namespace}/${path.component}/${path.endpoint}`;
}

function refuse(response: ServerResponse, status: number, message: string): void {
	response.writeHead(status, { "content-type": "text/plain" }).end(message);
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
	const chunks: Buffer[] = [];
	let size = 0;
	for await (const chunk of request) {
		size += (chunk as Buffer).length;
		if (size > MAX_REQUEST_BYTES)
			throw new DynError("PAYLOAD_TOO_LARGE", `a request may take ${MAX_REQUEST_BYTES} bytes on the wire`);
		chunks.push(chunk as Buffer);
	}
	return Buffer.concat(chunks);
}

function frame(bytes: Uint8Array): Buffer {
	const framed = Buffer.allocUnsafe(4 + bytes.length);
	framed.writeUInt32BE(bytes.length, 0);
	framed.set(bytes, 4);
	return framed;
}

function drained(response: ServerResponse): Promise<void> {
	return new Promise((resolve) => {
		const go = () => {
			response.off("drain", go).off("close", go);
			resolve();
		};
		response.on("drain", go).on("close", go);
	});
}

/** Sends the body; resolves with the answer once its status says that it was accepted. */
function answerTo(call: ClientRequest, body: Uint8Array): Promise<IncomingMessage> {
	return new Promise((resolve, reject) => {
		const late = setTimeout(
			() => call.destroy(new Error(`no answer within ${ANSWER_MS} ms`)),
			ANSWER_MS,
		).unref();
		call.on("error", (cause) => {
			clearTimeout(late);
			reject(
				new DynError("UNAVAILABLE", `the worker at ${call.host} could not be reached: ${cause.message}`, {
					cause,
				}),
			);
		});
		call.on("response", (answer) => {
			clearTimeout(late);
			if (answer.statusCode === 200) return resolve(answer);
			answer.resume();
			const code = answer.statusCode === 529 ? "OVERLOADED" : "UNAVAILABLE";
			reject(new DynError(code, `the worker refused the request with HTTP ${answer.statusCode}`));
		});
		call.end(body);
	});
}

async function* itemsOf(answer: IncomingMessage, format: WireFormat): AsyncGenerator<unknown, void> {
	const queue = new ByteQueue();
	try {
		for await (const chunk of answer) {
			queue.push(chunk as Buffer);
			for (;;) {
				const length = queue.peek(4)?.readUInt32BE(0);
				const bytes = length === undefined ? null : queue.take(4 + length);
				if (!bytes) break;
				const received = unwrapItem(decodeBody(bytes.subarray(4), format));
				if (received.kind === "end") return;
				if (received.kind === "item") yield received.item;
			}
		}
	} catch (error) {
		if (DynError.is(error)) throw error;
		throw new DynError("DISCONNECTED", `the connection to the worker broke: ${(error as Error).message}`, {
			cause: error,
		});
	}
	throw new DynError("DISCONNECTED", "the worker ended its answer before it was complete");
}
