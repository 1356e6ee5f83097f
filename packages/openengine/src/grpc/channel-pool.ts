// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { CallOptions } from "./call.js";
import { type CallMetadata, requestHeaders } from "./call-headers.js";
import { Channel } from "./channel.js";
import { ResponseStream } from "./response-stream.js";
import { singleResponse } from "./single-response.js";
import { type ConnectOptions, waitForServer } from "./wait-for-server.js";

/** An RPC as a channel sees it: a path, and bytes. */
export interface GrpcMethod<Request, Response> {
	/** `/package.Service/Method`. */
	readonly path: string;
	serialize(request: Request): Uint8Array;
	/** The bytes are valid during the call only: what is kept of them is a copy. */
	deserialize(bytes: Buffer): Response;
}

export interface GrpcCallOptions {
	/** Request metadata; keys in lower case, one value or several. */
	readonly metadata?: CallMetadata | undefined;
	/** The call fails with DEADLINE_EXCEEDED when it is not over by then, ms from now. Default: never. */
	readonly timeoutMs?: number | undefined;
	/** Aborting it cancels the call. */
	readonly signal?: AbortSignal | undefined;
}

export interface GrpcChannelPoolOptions {
	/** `host:port`, or the same as `http://host:port`: plaintext. */
	readonly endpoint: string;
	/** HTTP/2 connections, used in turn: one alone is a bottleneck. Default 8. */
	readonly connections?: number;
	/** Largest message either way. Default 64 MiB, as TensorRT-LLM's server has it. */
	readonly maxMessageBytes?: number;
	/** Time for one attempt to connect. Default 10 s. */
	readonly connectTimeoutMs?: number;
	/** Silence of the server, with calls or without, before it is asked for a sign of life. Default 30 s. */
	readonly keepaliveTimeMs?: number;
	/** Time for that sign. Default 10 s. */
	readonly keepaliveTimeoutMs?: number;
	/** Pause between attempts to connect. Default 1 s. */
	readonly retryIntervalMs?: number;
}

/** Several connections to one gRPC server. */
export interface GrpcChannelPool {
	readonly endpoint: string;
	/** Resolves when the server takes connections. @throws DynError UNAVAILABLE after the startup deadline */
	connect(options?: ConnectOptions): Promise<void>;
	/** @throws DynError by `fromGrpcStatus` */
	unary<Request, Response>(
		method: GrpcMethod<Request, Response>,
		request: Request,
		options?: GrpcCallOptions,
	): Promise<Response>;
	/** The call begins at once; leaving the loop cancels it. @throws DynError by `fromGrpcStatus` */
	stream<Request, Response>(
		method: GrpcMethod<Request, Response>,
		request: Request,
		options?: GrpcCallOptions,
	): AsyncIterableIterator<Response>;
	/** Cancels what is running. Idempotent. */
	close(): void;
}

/** @throws DynError INVALID_ARGUMENT for an endpoint that is none */
export async function createGrpcChannelPool(options: GrpcChannelPoolOptions): Promise<GrpcChannelPool> {
	return new ChannelPool(options);
}

class ChannelPool implements GrpcChannelPool {
	readonly endpoint: string;
	readonly #channels: readonly Channel[];
	readonly #maxMessageBytes: number;
	#next = 0;
	#isClosed = false;

	constructor(options: GrpcChannelPoolOptions) {
		const { host, port } = plaintextEndpoint(options.endpoint);
		this.endpoint = `${host}:${port}`;
		this.#maxMessageBytes = options.maxMessageBytes ?? 64 * 2 ** 20;
		const channelOptions = {
			host: host.replace(/^\[(.*)\]$/, "$1"),
			port,
			connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
			keepaliveTimeMs: options.keepaliveTimeMs ?? 30_000,
			keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? 10_000,
			retryIntervalMs: options.retryIntervalMs ?? 1000,
		};
		this.#channels = Array.from({ length: options.connections ?? 8 }, () => new Channel(channelOptions));
	}

	connect(options: ConnectOptions = {}): Promise<void> {
		return waitForServer(this.#channels[0]!, this.endpoint, options);
	}

	async unary<Request, Response>(
		method: GrpcMethod<Request, Response>,
		request: Request,
		options: GrpcCallOptions = {},
	): Promise<Response> {
		const call = this.#prepare(method, request, options);
		const what = this.#what(method.path);
		return singleResponse(this.#turn(method.path), call, method.deserialize, what, options.signal);
	}

	stream<Request, Response>(
		method: GrpcMethod<Request, Response>,
		request: Request,
		options: GrpcCallOptions = {},
	): AsyncIterableIterator<Response> {
		const { signal } = options;
		const stream = new ResponseStream({
			deserialize: method.deserialize,
			what: this.#what(method.path),
			signal,
		});
		return stream.begin(this.#turn(method.path), () => this.#prepare(method, request, options));
	}

	close(): void {
		this.#isClosed = true;
		for (const channel of this.#channels) channel.close();
	}

	#prepare<Request>(
		{ path, serialize }: Pick<GrpcMethod<Request, unknown>, "path" | "serialize">,
		request: Request,
		{ metadata, timeoutMs }: GrpcCallOptions,
	): CallOptions {
		const headers = requestHeaders(path, this.endpoint, metadata, timeoutMs);
		const message = serialize(request);
		const maxMessageBytes = this.#maxMessageBytes;
		if (message.length > maxMessageBytes)
			throw new DynError(
				"PAYLOAD_TOO_LARGE",
				`${this.#what(path)}: the request has ${message.length} bytes, and the limit is ${maxMessageBytes}`,
			);
		return { headers, message, maxMessageBytes, timeoutMs };
	}

	#turn(path: string): Channel {
		if (this.#isClosed) throw new DynError("UNAVAILABLE", `${this.#what(path)}: the client is closed`);
		this.#next = (this.#next + 1) % this.#channels.length;
		return this.#channels[this.#next]!;
	}

	#what(path: string): string {
		return `${path.slice(path.lastIndexOf("/") + 1)} at ${this.endpoint}`;
	}
}

function plaintextEndpoint(endpoint: string): { host: string; port: number } {
	const found = /^(?:http:\/\/)?([^/\s]+):(\d+)\/?$/.exec(endpoint);
	if (found && Number(found[2]) < 2 ** 16) return { host: found[1]!, port: Number(found[2]) };
	throw new DynError(
		"INVALID_ARGUMENT",
		`${JSON.stringify(endpoint)} is no gRPC endpoint; say host:port or http://host:port`,
	);
}
