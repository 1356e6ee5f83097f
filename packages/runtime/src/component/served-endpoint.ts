// SPDX-License-Identifier: Apache-2.0
import { DynError, linkSignals, type RequestContext } from "@dyn/common";
import type { EndpointHandler, EndpointPath, Instance, ServedEndpoint } from "../types.js";
import type { ComponentMetrics } from "./component-metrics.js";

/** What a runtime does for an endpoint that leaves. */
export interface Departure {
	/** Takes the instance out of discovery. Called once, first. */
	leave(): Promise<void>;
	/** Nothing runs any more. Called once, last. */
	gone(): void;
}

/** Counts what runs through a handler, refuses new work while draining, aborts it on close. */
export class Serving implements ServedEndpoint {
	/** Local only until the endpoint is reachable from elsewhere. */
	instance: Instance;
	readonly #handler: EndpointHandler;
	readonly #metrics: ComponentMetrics;
	readonly #departure: Departure;
	readonly #closing = new AbortController();
	#inflight = 0;
	#drained: Promise<void> | null = null;
	#isRefusing = false;
	#onIdle: () => void = () => {};
	#endGrace: () => void = () => {};

	constructor(
		id: bigint,
		path: EndpointPath,
		handler: EndpointHandler,
		metrics: ComponentMetrics,
		departure: Departure,
	) {
		this.instance = {
			id,
			path,
			transport: { kind: "local" },
			requestCodec: null,
			multiplexed: false,
			deviceType: null,
		};
		this.#handler = handler;
		this.#metrics = metrics;
		this.#departure = departure;
	}

	get inflight(): number {
		return this.#inflight;
	}

	/** The handler as the request plane calls it. */
	async *handle(request: unknown, context: RequestContext): AsyncGenerator<unknown, void> {
		if (this.#isRefusing) throw new DynError("DRAINING", `instance ${this.instance.id} is shutting down`);
		const end = this.#metrics.begin();
		this.#inflight++;
		const { signal, unlink } = linkSignals(context.signal, this.#closing.signal);
		let error: unknown;
		let finished = false;
		try {
			yield* this.#handler(request, { ...context, signal });
			finished = true;
		} catch (thrown) {
			error = thrown;
			throw thrown;
		} finally {
			unlink();
			this.#inflight--;
			end({ cancelled: context.signal.aborted || (!finished && error === undefined), error });
			if (this.#inflight === 0) this.#onIdle();
		}
	}

	drain({ graceMs = 0 }: { readonly graceMs?: number } = {}): Promise<void> {
		this.#drained ??= this.#drain(graceMs);
		return this.#drained;
	}

	async close(): Promise<void> {
		const drained = this.drain();
		this.#isRefusing = true;
		this.#endGrace();
		this.#closing.abort(new DynError("DRAINING", `instance ${this.instance.id} was closed`));
		await drained;
	}

	async #drain(graceMs: number): Promise<void> {
		if (graceMs === 0) this.#isRefusing = true;
		await this.#departure.leave();
		if (!this.#isRefusing) {
			await new Promise<void>((resolve) => {
				const timer = setTimeout(resolve, graceMs);
				this.#endGrace = () => {
					clearTimeout(timer);
					resolve();
				};
			});
		}
		this.#isRefusing = true;
		while (this.#inflight > 0) await this.#idle();
		this.#departure.gone();
	}

	#idle(): Promise<void> {
		return new Promise((resolve) => {
			this.#onIdle = resolve;
		});
	}
}
