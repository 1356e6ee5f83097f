// SPDX-License-Identifier: Apache-2.0
import {
	cancellationError,
	DynError,
	type Logger,
	type Metrics,
	noMetrics,
	type RequestContext,
	silentLogger,
} from "@dyn/common";
import type { Instance, PayloadCodec } from "../../types.js";
import type { Reachability, RequestPlane, ServedTarget } from "../request-plane.js";
import { ConnectionPool } from "./connection-pool.js";
import { encodeControlHeader } from "./control-header.js";
import { LazyItems } from "./lazy-items.js";
import { MuxClientConnection } from "./mux/mux-client-connection.js";
import { headersOf } from "./request-context.js";
import { encodeRequestFrame } from "./request-frame.js";
import { RequestServer } from "./request-server.js";
import { ResponseListener } from "./response-listener.js";
import { Sockets, type TcpTls } from "./sockets.js";
import { encodeTwoPart } from "./two-part.js";
import { borrowBody, type WireFormat } from "./wire-format.js";

export interface TcpPlaneOptions {
	/** Numeric address at which others reach this process, for requests. Default 127.0.0.1. */
	readonly host?: string;
	/** Port for requests; 0, the default, takes any. */
	readonly port?: number;
	/** Address and port at which workers bring their answers. Default: `host` and any port. */
	readonly responseHost?: string;
	readonly responsePort?: number;
	/** How bodies of requests to this process should be written. Default msgpack. */
	readonly codec?: WireFormat;
	/** Answer and call peers of this project over one connection for all streams. Default true. */
	readonly multiplexed?: boolean;
	/** Requests served at once. Default 10,000. */
	readonly maxRunning?: number;
	/** Requests that wait beyond these before one is refused as overloaded. Default 40,000. */
	readonly maxWaiting?: number;
	/** Certificate and key for all connections of the plane; every process of the deployment needs them then. Default: plain TCP. */
	readonly tls?: TcpTls;
	readonly logger?: Logger;
	/** Gets what this process's server of requests lets in. Default: nobody. */
	readonly metrics?: Metrics;
}

/** Dynamo's TCP request plane: requests over pooled connections, answers over connections that workers open. */
export function createTcpPlane(options: TcpPlaneOptions = {}): RequestPlane {
	return new TcpPlane(options);
}

class TcpPlane implements RequestPlane {
	readonly kind = "tcp";
	readonly #codec: WireFormat;
	readonly #multiplexed: boolean;
	readonly #server: RequestServer;
	readonly #responses: ResponseListener;
	readonly #sockets: Sockets;
	readonly #pool: ConnectionPool;
	/** Multiplexed connections by worker address. */
	readonly #links = new Map<string, Promise<MuxClientConnection>>();

	constructor(options: TcpPlaneOptions) {
		const host = options.host ?? "127.0.0.1";
		this.#codec = options.codec ?? "msgpack";
		this.#multiplexed = options.multiplexed ?? true;
		this.#sockets = new Sockets(options.tls);
		this.#pool = new ConnectionPool(this.#sockets);
		this.#responses = new ResponseListener(
			options.responseHost ?? host,
			options.responsePort ?? 0,
			this.#sockets,
		);
		this.#server = new RequestServer({
			host,
			port: options.port ?? 0,
			sockets: this.#sockets,
			maxRunning: options.maxRunning ?? 10_000,
			maxWaiting: options.maxWaiting ?? 40_000,
			logger: options.logger ?? silentLogger,
			metrics: options.metrics ?? noMetrics,
		});
	}

	async register(target: ServedTarget): Promise<Reachability> {
		const path = pathOf(target);
		const address = `${await this.#server.add(path, target)}/${path}`;
		return {
			transport: { kind: "tcp", address },
			requestCodec: this.#codec,
			multiplexed: this.#multiplexed,
		};
	}

	unregister(target: Pick<ServedTarget, "id" | "path">): void {
		this.#server.remove(pathOf(target));
	}

	call(
		instance: Instance,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): AsyncIterable<unknown> {
		const { transport } = instance;
		if (transport.kind !== "tcp") throw new DynError("INTERNAL", "the instance is not reached over tcp");
		const slash = transport.address.indexOf("/");
		const address = transport.address.slice(0, slash);
		const path = transport.address.slice(slash + 1);
		return instance.multiplexed && this.#multiplexed
			? this.#callMultiplexed(address, path, request, context, codec)
			: this.#callHome(address, path, instance.requestCodec ?? "json", request, context, codec);
	}

	async close(): Promise<void> {
		this.#pool.close();
		for (const link of this.#links.values()) link.then((open) => open.close()).catch(() => {});
		await Promise.all([this.#server.close(), this.#responses.close()]);
	}

	async *#callHome(
		address: string,
		path: string,
		format: WireFormat,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): AsyncGenerator<unknown, void> {
		const { signal } = context;
		if (signal.aborted) throw cancellationError(signal);
		const response = await this.#responses.expect(format);
		const abort = () => response.kill(cancellationError(signal));
		signal.addEventListener("abort", abort, { once: true });
		try {
			const control = encodeControlHeader({
				id: context.id,
				format,
				address: response.address,
				subject: response.subject,
			});
			const body = borrowBody(codec.encodeRequest(request), format);
			const headers = { "x-endpoint-path": path, ...headersOf(context) };
			await this.#pool.send(
				address,
				encodeRequestFrame({ path, headers, payload: encodeTwoPart(control, body) }),
			);
			response.accepted();
			for await (const item of response.items) yield codec.decodeItem(item);
		} finally {
			signal.removeEventListener("abort", abort);
			response.abandon();
			await response.items.return();
		}
	}

	#callMultiplexed(
		address: string,
		path: string,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): AsyncIterable<unknown> {
		return new LazyItems(async () => {
			const link = await this.#link(address);
			if (context.signal.aborted) throw cancellationError(context.signal);
			return link.call(path, request, context, codec);
		});
	}

	#link(address: string): Promise<MuxClientConnection> {
		const known = this.#links.get(address);
		if (known) return known;
		const opening = MuxClientConnection.open(address, this.#sockets, () => {
			if (this.#links.get(address) === opening) this.#links.delete(address);
		});
		this.#links.set(address, opening);
		return opening;
	}
}

/** As stock workers of 1.6 name their endpoints: `<instance id hex>/<namespace>/<component>/<endpoint>`. */
function pathOf({ id, path }: Pick<ServedTarget, "id" | "path">): string {
	return `${id.toString(16)}/${path.namespace}/${path.component}/${path.endpoint}`;
}
