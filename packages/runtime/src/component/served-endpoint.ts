// SPDX-License-Identifier: Apache-2.0
import { DynError, linkSignals, type RequestContext } from "@dyn/common";
import type { EndpointHandler, Instance, ServedEndpoint } from "../types.js";
import type { ComponentMetrics } from "./component-metrics.js";

/** Counts what runs through a handler, refuses new work while draining, aborts it on close. */
export class Serving implements ServedEndpoint {
	readonly instance: Instance;
	readonly #handler: EndpointHandler;
	readonly #metrics: ComponentMetrics;
	readonly #leave: () => Promise<void>;
	readonly #closing = new AbortController();
	#inflight = 0;
	#left: Promise<void> | null = null;
	#idle: (() => void)[] = [];

	/** @param leave takes the instance out of discovery; called once */
	constructor(
		instance: Instance,
		handler: EndpointHandler,
		metrics: ComponentMetrics,
		leave: () => Promise<void>,
	) {
		this.instance = instance;
		this.#handler = handler;
		this.#metrics = metrics;
		this.#leave = leave;
	}

	get inflight(): number {
		return this.#inflight;
	}

	/** The handler as the request plane calls it. */
	async *handle(request: unknown, context: RequestContext): AsyncGenerator<unknown, void> {
		if (this.#left) throw new DynError("DRAINING", `instance ${this.instance.id} is shutting down`);
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
			if (this.#inflight === 0) for (const resolve of this.#idle.splice(0)) resolve();
		}
	}

	async drain(): Promise<void> {
		this.#left ??= this.#leave();
		await this.#left;
		if (this.#inflight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
	}

	async close(): Promise<void> {
		const drained = this.drain();
		this.#closing.abort(new DynError("DRAINING", `instance ${this.instance.id} was closed`));
		await drained;
	}
}
