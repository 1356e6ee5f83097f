// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { EndpointHandler, EndpointPath, Instance, PayloadCodec, TransportAddress } from "../types.js";

/** Hears, when a request ends, what it and its answer took on the wire. */
export type Traffic = (requestBytes: number, responseBytes: number) => void;

/** What a plane needs to make an endpoint reachable. */
export interface ServedTarget {
	readonly id: bigint;
	readonly path: EndpointPath;
	/** Refuses with DRAINING while the endpoint drains; counts, links signals and aborts are its business. */
	readonly handler: EndpointHandler;
	readonly codec: PayloadCodec;
	/** Told once for each request that reached the handler. Default: nobody counts. */
	readonly traffic?: Traffic;
}

/** What an instance says in discovery about how to reach it. */
export interface Reachability {
	readonly transport: TransportAddress;
	readonly requestCodec: Instance["requestCodec"];
	readonly multiplexed: boolean;
}

/** Carries requests to instances and their streams back. Implementations: local, tcp, nats, http. */
export interface RequestPlane {
	/** The kind of address it makes and can call. */
	readonly kind: TransportAddress["kind"];
	/** Makes `target` reachable; requests may arrive as soon as it resolves. */
	register(target: ServedTarget): Promise<Reachability>;
	/** New requests are refused as unknown endpoint; running ones go on. */
	unregister(target: Pick<ServedTarget, "id" | "path">): void;
	/**
	 * Calls an instance. Aborting the context or leaving the loop ends the call at the other side. Items are what
	 * `codec.decodeItem` makes of what came. A stream that breaks off throws: only a proper end is a normal end.
	 * @throws DynError, at any `next()`: UNAVAILABLE (could not be reached, refused, draining), OVERLOADED,
	 * DISCONNECTED (broke off), CANCELLED, or what the handler threw, with its code.
	 */
	call(
		instance: Instance,
		request: unknown,
		context: RequestContext,
		codec: PayloadCodec,
	): AsyncIterable<unknown>;
	/** Ends every connection. Idempotent. */
	close(): Promise<void>;
}
