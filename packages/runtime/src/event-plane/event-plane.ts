// SPDX-License-Identifier: Apache-2.0
import type { Logger, Metrics } from "@dyn/common";
import type { KeyValueStore, Lease } from "../discovery/key-value-store.js";

/** Whom an event concerns: a namespace, a component of it, or an endpoint of that. */
export interface EventScope {
	readonly namespace: string;
	readonly component?: string;
	readonly endpoint?: string;
}

/** One event as a subscriber gets it. */
export interface ReceivedEvent {
	/** Random per publisher, at most 53 bits with this project's publishers; others may use all 64. */
	readonly publisherId: bigint;
	/** From 0, per publisher. */
	readonly sequence: bigint;
	/** Events of this publisher that were lost just before this one, after replay was tried. */
	readonly missed: bigint;
	/** Publisher's wall clock, ms since the epoch. */
	readonly publishedAtMs: number;
	/** What the publisher gave to `send`, decoded from msgpack; integers beyond 2^53 are bigint. */
	readonly payload: unknown;
}

export interface EventPublisher {
	readonly id: bigint;
	/** Events that were dropped because nobody took them in time. */
	readonly dropped: number;
	/** Never waits and never throws: what cannot be sent is dropped and counted. */
	send(payload: unknown): void;
	close(): Promise<void>;
}

export interface EventSubscription extends AsyncIterable<ReceivedEvent> {
	/** Events that were dropped here because they were not read in time. */
	readonly dropped: number;
	close(): Promise<void>;
}

export interface PublishOptions {
	/** Most events that wait for a slow transport. Default 100,000. */
	readonly capacity?: number;
	/** Events that are kept for subscribers who missed some. Default 0: none can be asked for. */
	readonly replay?: number;
}

export interface SubscribeOptions {
	/** Most events that wait to be read; more are dropped, oldest first, and counted. Default 100,000. */
	readonly capacity?: number;
}

/** Lossy broadcast between processes: publishers and subscribers of (scope, topic) find each other through discovery. */
export interface EventPlane {
	publish(scope: EventScope, topic: string, options?: PublishOptions): Promise<EventPublisher>;
	subscribe(scope: EventScope, topic: string, options?: SubscribeOptions): Promise<EventSubscription>;
	/** Closes every publisher and subscription. Idempotent. */
	close(): Promise<void>;
}

/** What an event plane needs of its runtime. */
export interface EventPlaneContext {
	readonly store: KeyValueStore;
	readonly lease: Lease;
	readonly logger: Logger;
	readonly metrics: Metrics;
}

export type EventPlaneFactory = (context: EventPlaneContext) => EventPlane;
