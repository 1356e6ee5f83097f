// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Server, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import type { MessageInit } from "../message-init.js";
import { RPCS, type Rpc, type RpcName } from "../wire/methods.js";
import { LiveCalls } from "./live-calls.js";
import type { OpenEngineService } from "./service.js";

export interface OpenEngineServerOptions {
	readonly service: OpenEngineService;
	/** Default 127.0.0.1: the contract has neither TLS nor authentication. */
	readonly host?: string | undefined;
	/** Default 0: any free one. */
	readonly port?: number | undefined;
	/** Largest message either way. Default 64 MiB. */
	readonly maxMessageBytes?: number | undefined;
}

/** A listening server. */
export interface OpenEngineServer {
	readonly host: string;
	readonly port: number;
	/** `host:port`. */
	readonly address: string;
	/** Takes no new calls, ends subscriptions, and resolves when the running calls are over. */
	drain(): Promise<void>;
	/** Cancels what is running. Idempotent. */
	close(): Promise<void>;
	/** Resolves when it listens no more. */
	readonly closed: Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}

/**
 * Serves `service` over plaintext gRPC.
 * @throws DynError UNAVAILABLE when the address cannot be listened on
 */
export async function createOpenEngineServer(options: OpenEngineServerOptions): Promise<OpenEngineServer> {
	const [grpc, { fromBytes, toBytes }] = await Promise.all([
		import("@grpc/grpc-js"),
		import("../wire/bytes.js"),
	]);
	const { service, host = "127.0.0.1", maxMessageBytes = 64 * 2 ** 20 } = options;
	const server = new grpc.Server({
		"grpc.max_receive_message_length": maxMessageBytes,
		"grpc.max_send_message_length": maxMessageBytes,
		"grpc.keepalive_time_ms": 30_000,
		"grpc.keepalive_timeout_ms": 10_000,
	});
	const live = new LiveCalls();
	const addRpc = <Request, Response>(name: RpcName, rpc: Rpc<Request, Response>) => {
		const definition: ServiceDefinition = {
			[name]: {
				path: rpc.path,
				requestStream: false,
				responseStream: rpc.streams,
				requestSerialize: (message: MessageInit<Request>) => toBytes(rpc.encodeRequest, message),
				requestDeserialize: (bytes: Buffer) => fromBytes(rpc.decodeRequest, bytes),
				responseSerialize: (message: MessageInit<Response>) => toBytes(rpc.encodeResponse, message),
				responseDeserialize: (bytes: Buffer) => fromBytes(rpc.decodeResponse, bytes),
			},
		};
		const handler = service[name] as never;
		const implementation: UntypedServiceImplementation = {
			[name]: rpc.streams ? live.streaming(handler, name === "subscribeKvEvents") : live.unary(handler),
		};
		server.addService(definition, implementation);
	};
	for (const name of Object.keys(RPCS) as RpcName[]) addRpc(name, RPCS[name] as Rpc<unknown, unknown>);
	const port = await bind(server, host, options.port ?? 0, grpc.ServerCredentials.createInsecure());
	return new ListeningServer(server, live, host, port);
}

function bind(
	server: Server,
	host: string,
	port: number,
	credentials: Parameters<Server["bindAsync"]>[1],
): Promise<number> {
	const address = host.includes(":") ? `[${host}]` : host;
	return new Promise((resolve, reject) => {
		server.bindAsync(`${address}:${port}`, credentials, (error, bound) => {
			if (!error) return resolve(bound);
			const message = `cannot listen on ${address}:${port} (${error.message}); choose another port`;
			reject(new DynError("UNAVAILABLE", message, { cause: error }));
		});
	});
}

class ListeningServer implements OpenEngineServer {
	readonly closed: Promise<void>;
	readonly #server: Server;
	readonly #live: LiveCalls;
	#whenClosed: () => void = () => {};
	#draining: Promise<void> | null = null;

	constructor(
		server: Server,
		live: LiveCalls,
		readonly host: string,
		readonly port: number,
	) {
		this.#server = server;
		this.#live = live;
		this.closed = new Promise((resolve) => {
			this.#whenClosed = resolve;
		});
	}

	get address(): string {
		return `${this.host.includes(":") ? `[${this.host}]` : this.host}:${this.port}`;
	}

	drain(): Promise<void> {
		this.#draining ??= new Promise((resolve) => {
			this.#live.endSubscriptions();
			this.#server.tryShutdown(() => {
				this.#whenClosed();
				resolve();
			});
		});
		return this.#draining;
	}

	async close(): Promise<void> {
		this.#live.cancel();
		this.#server.forceShutdown();
		this.#whenClosed();
		await this.#live.idle();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}
}
