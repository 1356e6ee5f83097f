// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import {
	type Clock,
	DynError,
	type Logger,
	type Metrics,
	noMetrics,
	noTracer,
	silentLogger,
	systemClock,
	type Tracer,
} from "@dyn/common";
import { CallMetrics } from "./component/call-metrics.js";
import { DiscoveryClient } from "./component/client.js";
import { ComponentMetrics } from "./component/component-metrics.js";
import { checkEndpointPath, formatEndpointPath, parseEndpointPath } from "./component/endpoint-path.js";
import { Serving } from "./component/served-endpoint.js";
import { INSTANCES_PREFIX, type KeyValueStore, type Lease } from "./discovery/key-value-store.js";
import { MemoryStore } from "./discovery/memory-store.js";
import { StoreModelRegistry } from "./discovery/model-registry.js";
import { encodeInstance, instanceKey } from "./discovery/records.js";
import type { EventPlane, EventPlaneFactory } from "./event-plane/event-plane.js";
import { type EventSourceRecord, encodeEventSource } from "./event-plane/event-source.js";
import { LocalEventPlane } from "./event-plane/local-event-plane.js";
import { LocalPlane } from "./request-plane/local-plane.js";
import type { RequestPlane } from "./request-plane/request-plane.js";
import type {
	Endpoint,
	EndpointHandler,
	EndpointPath,
	Instance,
	PayloadCodec,
	Runtime,
	ServedEndpoint,
} from "./types.js";

export interface RuntimeOptions {
	/** Where instances and models are announced. Default: a store of this process. Whoever made it closes it, after the runtime. */
	readonly discovery?: KeyValueStore;
	/**
	 * How other processes are reached and reach this one: the first makes endpoints reachable, all can call. Default: none,
	 * endpoints are for this process. Closed with the runtime.
	 */
	readonly requestPlanes?: readonly RequestPlane[];
	/** Makes the event plane, given the store in which publishers are found. Default: events stay in this process. */
	readonly eventPlane?: EventPlaneFactory;
	/** What instances say about the device they run on. Default: nothing. */
	readonly deviceType?: string;
	readonly logger?: Logger;
	readonly metrics?: Metrics;
	/** Gets a span of each request served here. Default: none. Whoever made it closes it, after the runtime. */
	readonly tracer?: Tracer;
	/** Measures durations. Default: the system's. */
	readonly clock?: Clock;
}

/** Everything that a process serves and calls. Calls within the process are function calls, whatever the planes. */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
	const store = options.discovery ?? new MemoryStore();
	const runtime = new ProcessRuntime(store, await store.lease(), options);
	await runtime.models.synced;
	return runtime;
}

class ProcessRuntime implements Runtime {
	readonly models: StoreModelRegistry;
	readonly events: EventPlane;
	readonly closed: Promise<void>;
	readonly #store: KeyValueStore;
	readonly #lease: Lease;
	readonly #logger: Logger;
	readonly #metrics: Metrics;
	readonly #callMetrics: CallMetrics;
	readonly #tracer: Tracer;
	readonly #clock: Clock;
	readonly #ownsStore: boolean;
	readonly #id = newInstanceId();
	readonly #deviceType: string | null;
	readonly #local = new LocalPlane();
	readonly #planes: readonly RequestPlane[];
	readonly #served = new Set<ServedEndpoint>();
	readonly #clients = new Set<DiscoveryClient>();
	#resolveClosed!: () => void;
	#closing: Promise<void> | null = null;

	constructor(store: KeyValueStore, lease: Lease, options: RuntimeOptions) {
		this.#store = store;
		this.#ownsStore = options.discovery === undefined;
		this.#lease = lease;
		this.#logger = options.logger ?? silentLogger;
		this.#metrics = options.metrics ?? noMetrics;
		this.#tracer = options.tracer ?? noTracer;
		this.#clock = options.clock ?? systemClock;
		this.#callMetrics = new CallMetrics(this.#metrics, this.#clock);
		this.#deviceType = options.deviceType ?? null;
		this.#planes = options.requestPlanes ?? [];
		this.models = new StoreModelRegistry(store, lease, this.#logger);
		const createEvents = options.eventPlane ?? (() => new LocalEventPlane());
		this.events = createEvents({ store, lease, logger: this.#logger, metrics: this.#metrics });
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		const began = this.#clock.monotonicMs();
		const uptime = this.#metrics.gauge({
			name: "dynamo_component_uptime_seconds",
			help: "Seconds since the runtime started",
			labels: ["worker_id"],
		});
		const labels = { worker_id: this.#id.toString(16) };
		this.#metrics.onCollect(() => uptime.set((this.#clock.monotonicMs() - began) / 1000, labels));
	}

	endpoint(pathOrText: EndpointPath | string): Endpoint {
		const path =
			typeof pathOrText === "string" ? parseEndpointPath(pathOrText) : checkEndpointPath(pathOrText);
		return {
			path,
			serve: (handler, { codec = plainData } = {}) => this.#serve(path, handler, codec),
			client: ({ codec = plainData } = {}) => {
				const client = new DiscoveryClient(path, codec, {
					store: this.#store,
					planeOf: (instance) => this.#planeOf(instance),
					logger: this.#logger,
					metrics: this.#callMetrics,
					clock: this.#clock,
					onClose: (closed) => this.#clients.delete(closed),
				});
				this.#clients.add(client);
				return client;
			},
		};
	}

	async announceEventSource(source: EventSourceRecord): Promise<{ withdraw(): Promise<void> }> {
		const { key, value } = encodeEventSource(source);
		await this.#store.put(key, value, this.#lease).catch((error) => {
			if (!DynError.is(error, "UNAVAILABLE")) throw error;
			this.#logger.warn("discovery cannot be reached: routers hear of the KV events when it can", { error });
		});
		return { withdraw: () => this.#store.delete(key) };
	}

	async drain(): Promise<void> {
		await Promise.all([...this.#served].map((served) => served.drain()));
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	async #close(): Promise<void> {
		try {
			await Promise.all([...this.#served].map((served) => served.close()));
			await this.#lease.revoke();
			this.models.close();
			await Promise.all([...this.#clients].map((client) => client.close()));
			await this.events.close();
			await Promise.all(this.#planes.map((plane) => plane.close()));
			if (this.#ownsStore) await this.#store.close();
		} finally {
			this.#resolveClosed();
		}
	}

	#planeOf(instance: Instance): RequestPlane | null {
		if (this.#local.has(instance)) return this.#local;
		return this.#planes.find(({ kind }) => kind === instance.transport.kind) ?? null;
	}

	async #serve(path: EndpointPath, handler: EndpointHandler, codec: PayloadCodec): Promise<ServedEndpoint> {
		const where = formatEndpointPath(path);
		if (this.#closing) throw new DynError("UNAVAILABLE", `cannot serve ${where}: the runtime is closed`);
		// One id for all endpoints of a process, as in Dynamo; a second server of one endpoint needs its own.
		const id = this.#local.has({ id: this.#id, path }) ? newInstanceId() : this.#id;
		const key = INSTANCES_PREFIX + instanceKey({ id, path });
		const planes = [this.#local, ...this.#planes.slice(0, 1)];
		const metrics = new ComponentMetrics(this.#metrics, id, path, this.#clock);
		const serving: Serving = new Serving(
			id,
			path,
			handler,
			{ metrics, tracer: this.#tracer },
			{
				announce: () =>
					this.#store.put(key, encodeInstance(serving.instance), this.#lease).catch((error) => {
						if (!DynError.is(error, "UNAVAILABLE")) throw error;
						this.#logger.warn("discovery cannot be reached: the endpoint appears when it can", {
							endpoint: where,
							error,
						});
					}),
				// A store that cannot be reached must not keep the process: the entry goes with the lease.
				leave: () =>
					this.#store.delete(key).then(
						() =>
							this.#logger.info("endpoint left discovery", { endpoint: where, instance: id.toString(16) }),
						(error) =>
							this.#logger.warn("endpoint stays in discovery until its lease ends", {
								endpoint: where,
								error,
							}),
					),
				gone: () => {
					for (const plane of planes) plane.unregister({ id, path });
					this.#served.delete(serving);
				},
			},
		);
		this.#served.add(serving);
		try {
			const { traffic } = metrics;
			const target = { id, path, codec, handler: serving.handle.bind(serving), traffic };
			let reached = await this.#local.register(target);
			for (const plane of planes.slice(1)) reached = await plane.register(target);
			const { transport, requestCodec, multiplexed } = reached;
			serving.instance = { id, path, transport, requestCodec, multiplexed, deviceType: this.#deviceType };
			await serving.announce();
		} catch (error) {
			await serving.close();
			throw error;
		}
		this.#logger.info("endpoint serving", { endpoint: where, instance: id.toString(16) });
		return serving;
	}
}

const identity = (value: unknown): unknown => value;
const plainData: PayloadCodec = {
	encodeRequest: identity,
	decodeRequest: identity,
	encodeItem: identity,
	decodeItem: identity,
};

/** Random, 1 .. 2^53-1: exact as a JSON number for every peer. */
function newInstanceId(): bigint {
	return randomBytes(8).readBigUInt64LE() >> 11n || 1n;
}
