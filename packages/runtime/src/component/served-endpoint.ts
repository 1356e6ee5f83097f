// SPDX-License-Identifier: Apache-2.0
import { DynError, linkSignals, type RequestContext, type Span, type Tracer, traceFields } from "@dyn/common";
import type { EndpointHandler, EndpointPath, Instance, ServedEndpoint } from "../types.js";
import type { ComponentMetrics } from "./component-metrics.js";
import { type AnswerService, ServedAnswer } from "./served-answer.js";

/** What a runtime does for an endpoint that it can be found, and for one that ends. */
export interface Presence {
	/** Puts the instance into discovery. */
	announce(): Promise<void>;
	/** Takes the instance out of discovery; does not reject. */
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
	readonly #tracer: Tracer;
	readonly #presence: Presence;
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
		{ metrics, tracer }: { readonly metrics: ComponentMetrics; readonly tracer: Tracer },
		presence: Presence,
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
		this.#tracer = tracer;
		this.#presence = presence;
	}

	get inflight(): number {
		return this.#inflight;
	}

	/** The handler as the request plane calls it. */
	handle(request: unknown, context: RequestContext): AsyncIterable<unknown> {
		return new ServedAnswer(() => this.#begin(request, context));
	}

	#begin(request: unknown, context: RequestContext): AnswerService {
		if (this.#isRefusing) throw new DynError("DRAINING", `instance ${this.instance.id} is shutting down`);
		const meter = this.#metrics.begin(context.sentAtMs);
		const span = this.#span(context);
		this.#inflight++;
		const { signal, unlink } = linkSignals(context.signal, this.#closing.signal);
		const logger = context.logger.child({ request: context.id, ...traceFields(span.trace) });
		return {
			handle: () => this.#handler(request, { ...context, signal, logger, trace: span.trace }),
			onFirst: () => meter.responded(),
			onEnd: (end, error) => {
				unlink();
				this.#inflight--;
				const cancelled = context.signal.aborted || end === "left";
				meter.end({ cancelled, error });
				if (cancelled) span.set({ cancelled });
				else if (end === "failed") span.fail(error);
				span.end();
				if (this.#inflight === 0) this.#onIdle();
			},
		};
	}

	/** The span of one request (name and attributes as in Dynamo). */
	#span({ trace }: RequestContext): Span {
		const { id, path } = this.instance;
		return this.#tracer.start("handle_payload", {
			parent: trace,
			kind: "server",
			attributes: { ...path, instance_id: id.toString() },
		});
	}

	async withdraw(): Promise<void> {
		await this.#presence.leave();
	}

	async announce(): Promise<void> {
		if (this.#drained) throw new DynError("DRAINING", `instance ${this.instance.id} is shutting down`);
		await this.#presence.announce();
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
		await this.#presence.leave();
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
		this.#presence.gone();
	}

	#idle(): Promise<void> {
		return new Promise((resolve) => {
			this.#onIdle = resolve;
		});
	}
}
