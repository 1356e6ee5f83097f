// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError } from "@dyn/common";
import type { ChannelOptions, Client, Metadata, ServiceError } from "@grpc/grpc-js";
import { iterateCall } from "./iterate-call.js";
import { fromGrpcStatus } from "./status.js";

/** An RPC as a channel sees it: a path, and bytes. */
export interface GrpcMethod<Request, Response> {
	/** `/package.Service/Method`. */
	readonly path: string;
	serialize(request: Request): Buffer;
	deserialize(bytes: Buffer): Response;
}

export interface GrpcCallOptions {
	/** Request metadata; keys in lower case, one value or several. */
	readonly metadata?: Readonly<Record<string, string | readonly string[]>> | undefined;
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
	/** Pings on idle connections too. Default 30 s. */
	readonly keepaliveTimeMs?: number;
	/** Time for a ping's answer. Default 10 s. */
	readonly keepaliveTimeoutMs?: number;
	/** Pause between attempts to connect. Default 1 s. */
	readonly retryIntervalMs?: number;
}

export interface ConnectOptions {
	/** Attempts go on for this long. Default 30 minutes: an engine may be loading a large model. */
	readonly startupDeadlineMs?: number | undefined;
	readonly signal?: AbortSignal | undefined;
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
	const endpoint = plaintextEndpoint(options.endpoint);
	const grpc = await import("@grpc/grpc-js");
	const credentials = grpc.credentials.createInsecure();
	const clients = Array.from(
		{ length: options.connections ?? 8 },
		() => new grpc.Client(endpoint, credentials, channelOptions(options)),
	);
	return new ChannelPool(endpoint, clients, (entries) => {
		const metadata = new grpc.Metadata();
		for (const [key, values] of Object.entries(entries ?? {}))
			for (const value of [values].flat()) metadata.add(key, value);
		return metadata;
	});
}

class ChannelPool implements GrpcChannelPool {
	readonly endpoint: string;
	readonly #clients: readonly Client[];
	readonly #metadata: (entries: GrpcCallOptions["metadata"]) => Metadata;
	#next = 0;
	#isClosed = false;

	constructor(
		endpoint: string,
		clients: readonly Client[],
		metadata: (entries: GrpcCallOptions["metadata"]) => Metadata,
	) {
		this.endpoint = endpoint;
		this.#clients = clients;
		this.#metadata = metadata;
	}

	connect({ startupDeadlineMs = 1_800_000, signal }: ConnectOptions = {}): Promise<void> {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(cancellationError(signal));
			const onAbort = () => reject(cancellationError(signal!));
			signal?.addEventListener("abort", onAbort, { once: true });
			this.#clients[0]!.waitForReady(Date.now() + startupDeadlineMs, (error) => {
				signal?.removeEventListener("abort", onAbort);
				if (!error) return resolve();
				const message = `no gRPC server at ${this.endpoint} (${error.message}); start one there, or correct the endpoint`;
				reject(new DynError("UNAVAILABLE", message, { cause: error }));
			});
		});
	}

	unary<Request, Response>(
		method: GrpcMethod<Request, Response>,
		request: Request,
		{ metadata, timeoutMs, signal }: GrpcCallOptions = {},
	): Promise<Response> {
		return new Promise((resolve, reject) => {
			if (signal?.aborted) return reject(cancellationError(signal));
			const call = this.#turn(method.path).makeUnaryRequest(
				method.path,
				method.serialize,
				method.deserialize,
				request,
				this.#metadata(metadata),
				timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
				(error: ServiceError | null, response?: Response) => {
					signal?.removeEventListener("abort", onAbort);
					if (!error) return resolve(response!);
					if (signal?.aborted) return reject(cancellationError(signal));
					reject(fromGrpcStatus(error.code, error.details, this.#what(method.path)));
				},
			);
			const onAbort = () => call.cancel();
			signal?.addEventListener("abort", onAbort, { once: true });
		});
	}

	stream<Request, Response>(
		method: GrpcMethod<Request, Response>,
		request: Request,
		{ metadata, timeoutMs, signal }: GrpcCallOptions = {},
	): AsyncIterableIterator<Response> {
		const call = this.#turn(method.path).makeServerStreamRequest(
			method.path,
			method.serialize,
			method.deserialize,
			request,
			this.#metadata(metadata),
			timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs },
		);
		return iterateCall(call, this.#what(method.path), signal);
	}

	close(): void {
		if (this.#isClosed) return;
		this.#isClosed = true;
		for (const client of this.#clients) client.close();
	}

	#turn(path: string): Client {
		if (this.#isClosed) throw new DynError("UNAVAILABLE", `${this.#what(path)}: the client is closed`);
		this.#next = (this.#next + 1) % this.#clients.length;
		return this.#clients[this.#next]!;
	}

	#what(path: string): string {
		return `${path.slice(path.lastIndexOf("/") + 1)} at ${this.endpoint}`;
	}
}

function plaintextEndpoint(endpoint: string): string {
	const found = /^(?:http:\/\/)?([^/\s]+:\d+)\/?$/.exec(endpoint);
	if (found) return found[1]!;
	throw new DynError(
		"INVALID_ARGUMENT",
		`${JSON.stringify(endpoint)} is no gRPC endpoint; say host:port or http://host:port`,
	);
}

function channelOptions(options: GrpcChannelPoolOptions): ChannelOptions {
	const maxMessageBytes = options.maxMessageBytes ?? 64 * 2 ** 20;
	const retryIntervalMs = options.retryIntervalMs ?? 1000;
	return {
		"grpc.max_receive_message_length": maxMessageBytes,
		"grpc.max_send_message_length": maxMessageBytes,
		"grpc.keepalive_time_ms": options.keepaliveTimeMs ?? 30_000,
		"grpc.keepalive_timeout_ms": options.keepaliveTimeoutMs ?? 10_000,
		"grpc.keepalive_permit_without_calls": 1,
		"grpc.initial_reconnect_backoff_ms": retryIntervalMs,
		"grpc.max_reconnect_backoff_ms": retryIntervalMs,
		// Channels to the same address would share one connection.
		"grpc.use_local_subchannel_pool": 1,
		// Whether an operation may be repeated is not for the channel to judge.
		"grpc.enable_retries": 0,
	};
}
