// SPDX-License-Identifier: Apache-2.0
import { type Clock, DynError, type Logger, type RequestContext } from "@dyn/common";
import { INSTANCES_PREFIX, type KeyValueStore } from "../discovery/key-value-store.js";
import { decodeInstance, endpointKey } from "../discovery/records.js";
import { WatchedMap } from "../discovery/watched-map.js";
import type { RequestPlane } from "../request-plane/request-plane.js";
import type { EndpointClient, EndpointPath, GenerateOptions, Instance, PayloadCodec } from "../types.js";
import type { CallMetrics } from "./call-metrics.js";
import { formatEndpointPath } from "./endpoint-path.js";

/** How long an instance that failed is not chosen while others are there, ms (Dynamo: DYN_RUNTIME_INHIBITED_DURATION_SECS). */
const INHIBITED_MS = 5000;

/** What a client shares with its runtime. */
export interface ClientContext {
	readonly store: KeyValueStore;
	/** The plane that reaches an instance, or null when this process has none. */
	readonly planeOf: (instance: Instance) => RequestPlane | null;
	readonly logger: Logger;
	readonly metrics: CallMetrics;
	readonly clock: Clock;
	readonly onClose: (client: DiscoveryClient) => void;
}

/** Follows an endpoint's instances and sends requests to them in turn. */
export class DiscoveryClient implements EndpointClient {
	readonly #path: EndpointPath;
	readonly #codec: PayloadCodec;
	readonly #context: ClientContext;
	readonly #instances: WatchedMap<Instance>;
	/** Until when (monotonic ms) an instance is not chosen. */
	readonly #inhibited = new Map<bigint, number>();
	#turn = 0;

	constructor(path: EndpointPath, codec: PayloadCodec, context: ClientContext) {
		this.#path = path;
		this.#codec = codec;
		this.#context = context;
		this.#instances = new WatchedMap(
			context.store,
			INSTANCES_PREFIX + endpointKey(path),
			decodeInstance,
			context.logger,
			({ value, previous }) => this.#changed((value ?? previous)!.id),
		);
	}

	instances(): readonly Instance[] {
		return [...this.#instances.entries.values()]
			.filter((instance) => this.#context.planeOf(instance) !== null)
			.sort((a, b) => (a.id < b.id ? -1 : 1));
	}

	async choose({ instanceId, among, exclude }: GenerateOptions = {}): Promise<Instance> {
		await this.#instances.synced; // a client that was just made must not overlook who is there
		const instances = this.instances().filter(({ id }) => among?.has(id) ?? true);
		if (instanceId !== undefined) {
			const named = instances.find(({ id }) => id === instanceId);
			if (named) return named;
			throw this.#unavailable(`not instance ${instanceId}`);
		}
		const eligible = instances.filter(({ id }) => !exclude?.has(id));
		const fit = eligible.filter(({ id }) => !this.#isInhibited(id));
		const from = fit.length > 0 ? fit : eligible;
		if (from.length === 0) throw this.#unavailable("no instance");
		return from[this.#turn++ % from.length]!;
	}

	async *call(instance: Instance, request: unknown, context: RequestContext): AsyncGenerator<unknown, void> {
		const plane = this.#context.planeOf(instance);
		if (!plane) throw this.#unavailable(`nothing that reaches instance ${instance.id}`);
		const meter = this.#context.metrics.begin();
		let responded = false;
		try {
			for await (const item of plane.call(instance, request, context, this.#codec)) {
				if (!responded) meter.responded();
				responded = true;
				yield item;
			}
		} catch (error) {
			if (isTransportFailure(error)) this.inhibit(instance.id);
			throw error;
		} finally {
			meter.end();
		}
	}

	async *generate(
		request: unknown,
		context: RequestContext,
		options: GenerateOptions = {},
	): AsyncGenerator<unknown, void> {
		yield* this.call(await this.choose(options), request, context);
	}

	inhibit(instanceId: bigint, until: "a while" | "admitted" = "a while"): void {
		const end =
			until === "admitted" ? Number.POSITIVE_INFINITY : this.#context.clock.monotonicMs() + INHIBITED_MS;
		// A call that fails meanwhile must not let an instance back in early.
		this.#inhibited.set(instanceId, Math.max(end, this.#inhibited.get(instanceId) ?? 0));
	}

	admit(instanceId: bigint): void {
		this.#inhibited.delete(instanceId);
	}

	async close(): Promise<void> {
		this.#instances.close();
		this.#context.onClose(this);
	}

	/** What discovery says is newer than a failure that was seen here; it does not say that a frozen instance works. */
	#changed(id: bigint): void {
		if (this.#inhibited.get(id) !== Number.POSITIVE_INFINITY) this.#inhibited.delete(id);
	}

	#isInhibited(id: bigint): boolean {
		const until = this.#inhibited.get(id);
		if (until === undefined) return false;
		if (until > this.#context.clock.monotonicMs()) return true;
		this.#inhibited.delete(id);
		return false;
	}

	#unavailable(which: string): DynError {
		return new DynError(
			"UNAVAILABLE",
			`${formatEndpointPath(this.#path)} has ${which} that could take the request; start a worker or retry later`,
		);
	}
}

/** Failures that say something about the instance and not about the request. */
function isTransportFailure(error: unknown): boolean {
	return (["UNAVAILABLE", "DISCONNECTED", "OVERLOADED", "DRAINING"] as const).some((code) =>
		DynError.is(error, code),
	);
}
