// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";
import type { EventPlane } from "./event-plane/event-plane.js";
import type { EventSourceRecord } from "./event-plane/event-source.js";

/** Where a service lives: `dyn://namespace.component.endpoint`. */
export interface EndpointPath {
	readonly namespace: string;
	readonly component: string;
	readonly endpoint: string;
}

/** How an instance is reached. The address of tcp is `ip:port/path`, and the path is the instance's own business. */
export type TransportAddress =
	/** A function call in this process. */
	| { readonly kind: "local" }
	| { readonly kind: "tcp"; readonly address: string }
	| { readonly kind: "nats_tcp"; readonly subject: string }
	| { readonly kind: "http"; readonly url: string };

/** One running server of an endpoint. */
export interface Instance {
	/** u64, unique in the cluster; those made here fit into 53 bits. Also called worker id. */
	readonly id: bigint;
	readonly path: EndpointPath;
	readonly transport: TransportAddress;
	/** Encoding of request bodies that the instance asks for; null when it says nothing, which means JSON. */
	readonly requestCodec: "json" | "msgpack" | null;
	/** Whether it takes many streams over one connection (a peer of this project). */
	readonly multiplexed: boolean;
	/** "cuda", "cpu" or null when it does not say. */
	readonly deviceType: string | null;
}

/**
 * Translates between a package's own values and the plain data (JSON values, Uint8Array, bigint) that crosses a wire.
 * Calls within one process are not translated. What a decoder throws fails that request alone.
 */
export interface PayloadCodec {
	encodeRequest(request: unknown): unknown;
	decodeRequest(data: unknown): unknown;
	encodeItem(item: unknown): unknown;
	decodeItem(data: unknown): unknown;
	/** Its decoders take an absent field for null, except inside arrays: peers of this project leave such fields out. Default false. */
	readonly nullMayBeAbsent?: boolean;
	/** Stock callers expect items without Dynamo's annotation around them, as of endpoints that are Dynamo's own business. Default false. */
	readonly bareItems?: boolean;
}

/** Serves one request as a stream. With everything in one process this is called directly: no socket, no copy. */
export type EndpointHandler = (request: unknown, context: RequestContext) => AsyncIterable<unknown>;

export interface ServedEndpoint {
	readonly instance: Instance;
	/** Requests being served now. */
	readonly inflight: number;
	/** Leaves discovery until `announce`, without ending or refusing anything. */
	withdraw(): Promise<void>;
	/** @throws DynError DRAINING when it is on its way out */
	announce(): Promise<void>;
	/**
	 * Leaves discovery, serves what was admitted, resolves when nothing is left. New requests are refused with DRAINING,
	 * after `graceMs` (default 0) in which those who have not heard of it are still served.
	 */
	drain(options?: { readonly graceMs?: number }): Promise<void>;
	/** Aborts what is running, then as `drain`. Idempotent. */
	close(): Promise<void>;
}

export interface GenerateOptions {
	/** Send to this instance and no other. Default: round-robin over the live ones. */
	readonly instanceId?: bigint;
	/** Choose among these only. Default: every instance of the endpoint. */
	readonly among?: ReadonlySet<bigint>;
	/** Instances that must not be chosen, because they failed this request before. */
	readonly exclude?: ReadonlySet<bigint>;
}

export interface EndpointClient {
	/** Live instances now, by id. */
	instances(): readonly Instance[];
	/**
	 * The instance that the next request should go to: the named one, or the next in turn that is neither excluded nor
	 * inhibited (an inhibited one is better than none).
	 * @throws DynError UNAVAILABLE when there is none
	 */
	choose(options?: GenerateOptions): Promise<Instance>;
	/** Sends a request to one instance. A failure of the transport inhibits the instance for a while. */
	call(instance: Instance, request: unknown, context: RequestContext): AsyncIterable<unknown>;
	/** `choose` and `call`. */
	generate(request: unknown, context: RequestContext, options?: GenerateOptions): AsyncIterable<unknown>;
	/** Keeps an instance from being chosen for a while, or until `admit`. */
	inhibit(instanceId: bigint, until?: "a while" | "admitted"): void;
	admit(instanceId: bigint): void;
	close(): Promise<void>;
}

export interface EndpointOptions {
	/** Default: values are plain data already. */
	readonly codec?: PayloadCodec;
}

export interface Endpoint {
	readonly path: EndpointPath;
	serve(handler: EndpointHandler, options?: EndpointOptions): Promise<ServedEndpoint>;
	client(options?: EndpointOptions): EndpointClient;
}

/** A model that an instance serves. */
export interface ModelEntry {
	readonly card: ModelCard;
	/** The instance's. */
	readonly id: bigint;
	readonly path: EndpointPath;
}

export type ModelChange = { readonly type: "added" | "removed"; readonly entry: ModelEntry };

/** Model cards in discovery. */
export interface ModelRegistry {
	publish(card: ModelCard, instance: Pick<Instance, "id" | "path">): Promise<{ withdraw(): Promise<void> }>;
	list(): readonly ModelEntry[];
	/** First one `added` per present model, then changes. Ends when `signal` aborts or the runtime closes. */
	watch(signal: AbortSignal): AsyncIterable<ModelChange>;
}

/** The distributed runtime of one process. */
export interface Runtime {
	endpoint(path: EndpointPath | string): Endpoint;
	readonly models: ModelRegistry;
	readonly events: EventPlane;
	/** Tells routers in discovery where KV events come from, until it is withdrawn or the runtime closes. */
	announceEventSource(source: EventSourceRecord): Promise<{ withdraw(): Promise<void> }>;
	/** Drains every endpoint served here. */
	drain(): Promise<void>;
	/** Closes every endpoint and client, and takes back what was published. Idempotent. */
	close(): Promise<void>;
	readonly closed: Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}
