// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import {
	type Clock,
	DynError,
	type Logger,
	type Metrics,
	noMetrics,
	silentLogger,
	systemClock,
} from "@dyn/common";
import { DiscoveryClient } from "./component/client.js";
import { ComponentMetrics } from "./component/component-metrics.js";
import { checkEndpointPath, formatEndpointPath, parseEndpointPath } from "./component/endpoint-path.js";
import { Serving } from "./component/served-endpoint.js";
import { instanceKey } from "./discovery/instance-key.js";
import { INSTANCES_PREFIX, type KeyValueStore, type Lease } from "./discovery/key-value-store.js";
import { MemoryStore } from "./discovery/memory-store.js";
import { StoreModelRegistry } from "./discovery/model-registry.js";
import { LocalTransport } from "./request-plane/local-transport.js";
import type { RequestTransport } from "./request-plane/request-transport.js";
import type { Endpoint, EndpointHandler, EndpointPath, Runtime, ServedEndpoint } from "./types.js";

export interface RuntimeOptions {
	/** Where instances and models are announced. Default: a store of this process. */
	readonly discovery?: KeyValueStore;
	readonly logger?: Logger;
	readonly metrics?: Metrics;
	/** Measures durations. Default: the system's. */
	readonly clock?: Clock;
}

/** A runtime whose endpoints are reached by function calls within this process. */
export async function createRuntime(options: RuntimeOptions = {}): Promise<Runtime> {
	const store = options.discovery ?? new MemoryStore();
	const runtime = new LocalRuntime(store, await store.lease(), options);
	await runtime.models.synced;
	return runtime;
}

class LocalRuntime implements Runtime {
	readonly models: StoreModelRegistry;
	readonly closed: Promise<void>;
	readonly #store: KeyValueStore;
	readonly #ownsStore: boolean;
	readonly #lease: Lease;
	readonly #logger: Logger;
	readonly #metrics: Metrics;
	readonly #clock: Clock;
	readonly #transport: RequestTransport = new LocalTransport();
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
		this.#clock = options.clock ?? systemClock;
		this.models = new StoreModelRegistry(store, lease, this.#logger);
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		const began = this.#clock.monotonicMs();
		const uptime = this.#metrics.gauge({
			name: "dynamo_component_uptime_seconds",
			help: "Seconds since the runtime started",
		});
		this.#metrics.onCollect(() => uptime.set((this.#clock.monotonicMs() - began) / 1000));
	}

	endpoint(pathOrText: EndpointPath | string): Endpoint {
		const path =
			typeof pathOrText === "string" ? parseEndpointPath(pathOrText) : checkEndpointPath(pathOrText);
		return {
			path,
			serve: (handler) => this.#serve(path, handler),
			client: () => {
				const client = new DiscoveryClient(path, this.#store, this.#transport, this.#logger, (closed) =>
					this.#clients.delete(closed),
				);
				this.#clients.add(client);
				return client;
			},
		};
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
			if (this.#ownsStore) await this.#store.close();
		} finally {
			this.#resolveClosed();
		}
	}

	async #serve(path: EndpointPath, handler: EndpointHandler): Promise<ServedEndpoint> {
		const where = formatEndpointPath(path);
		if (this.#closing) throw new DynError("UNAVAILABLE", `cannot serve ${where}: the runtime is closed`);
		const id = newInstanceId();
		const transport = this.#transport.register(id, (request, context) => serving.handle(request, context));
		const instance = { id, path, transport };
		const key = INSTANCES_PREFIX + instanceKey(instance);
		const metrics = new ComponentMetrics(this.#metrics, path, this.#clock);
		const serving: Serving = new Serving(instance, handler, metrics, {
			// A store that cannot be reached must not keep the process: the entry goes with the lease.
			leave: () =>
				this.#store.delete(key).then(
					() => this.#logger.info("endpoint left discovery", { endpoint: where, instance: id }),
					(error) =>
						this.#logger.warn("endpoint stays in discovery until its lease ends", { endpoint: where, error }),
				),
			gone: () => {
				this.#transport.unregister(id);
				this.#served.delete(serving);
			},
		});
		this.#served.add(serving);
		try {
			await this.#store.put(key, instance, this.#lease);
		} catch (error) {
			await serving.close();
			throw error;
		}
		this.#logger.info("endpoint serving", { endpoint: where, instance: id });
		return serving;
	}
}

/** Random, 1 .. 2^53-1: exact as a JSON number for every peer. */
function newInstanceId(): number {
	return Number(randomBytes(8).readBigUInt64LE() >> 11n) || 1;
}
