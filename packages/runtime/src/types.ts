// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { ModelCard } from "@dyn/protocols";

/** Where a service lives: `dyn://namespace.component.endpoint`. */
export interface EndpointPath {
	readonly namespace: string;
	readonly component: string;
	readonly endpoint: string;
}

/** One running server of an endpoint. */
export interface Instance {
	/** 1 .. 2^53-1, unique in the cluster. Also called worker id. */
	readonly id: number;
	readonly path: EndpointPath;
	/** How to reach it. `local`: a function call in this process. */
	readonly transport: { readonly kind: "local" };
}

/** Serves one request as a stream. With everything in one process this is called directly: no socket, no copy. */
export type EndpointHandler = (request: unknown, context: RequestContext) => AsyncIterable<unknown>;

export interface ServedEndpoint {
	readonly instance: Instance;
	/** Requests being served now. */
	readonly inflight: number;
	/** Leaves discovery, serves what was admitted, resolves when nothing is left. New requests are refused with DRAINING. */
	drain(): Promise<void>;
	/** Aborts what is running, then as `drain`. Idempotent. */
	close(): Promise<void>;
}

export interface GenerateOptions {
	/** Send to this instance and no other. Default: round-robin over the live ones. */
	readonly instanceId?: number;
}

export interface EndpointClient {
	/** Live instances now, by id. */
	instances(): readonly Instance[];
	/** @throws DynError UNAVAILABLE when no instance is live (or the named one is gone), at the first `next()`. */
	generate(request: unknown, context: RequestContext, options?: GenerateOptions): AsyncIterable<unknown>;
	close(): Promise<void>;
}

export interface Endpoint {
	readonly path: EndpointPath;
	serve(handler: EndpointHandler): Promise<ServedEndpoint>;
	client(): EndpointClient;
}

/** A model that an instance serves. */
export interface ModelEntry {
	readonly card: ModelCard;
	readonly instance: Instance;
}

export type ModelChange = { readonly type: "added" | "removed"; readonly entry: ModelEntry };

/** Model cards in discovery. */
export interface ModelRegistry {
	publish(card: ModelCard, instance: Instance): Promise<{ withdraw(): Promise<void> }>;
	list(): readonly ModelEntry[];
	/** First one `added` per present model, then changes. Ends when `signal` aborts or the runtime closes. */
	watch(signal: AbortSignal): AsyncIterable<ModelChange>;
}

/** The distributed runtime of one process. */
export interface Runtime {
	endpoint(path: EndpointPath | string): Endpoint;
	readonly models: ModelRegistry;
	/** Drains every endpoint served here. */
	drain(): Promise<void>;
	/** Closes every endpoint and client, and takes back what was published. Idempotent. */
	close(): Promise<void>;
	readonly closed: Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}
