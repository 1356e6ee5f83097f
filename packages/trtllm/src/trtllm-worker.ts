// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, type Logger, type RequestContext } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, ModelCard } from "@dyn/protocols";
import type { Canary, Runtime, ServedEndpoint } from "@dyn/runtime";
import type { WorkerAdapters } from "./adapters/worker-adapters.js";
import type { Handler } from "./handlers/handler.js";
import { watchEngine } from "./health/watch-engine.js";
import type { KvEventPublisher } from "./kv-events/kv-event-publisher.js";
import type { Presence } from "./presence.js";

export interface TrtllmWorker {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
	/** LoRA adapters, which come and go while the worker serves; those of its start among them. */
	readonly adapters: WorkerAdapters;
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	/** The engine is alive, the canary, if any, was answered, and the worker is not on its way out. */
	readonly healthy: boolean;
	/** Sends a request through the handler, without the request plane. */
	generate(request: GenerateRequest, context?: RequestContext): AsyncIterable<EngineOutput>;
	/** Leaves discovery, finishes what was admitted, then closes; see `ServedEndpoint.drain`. */
	drain(options?: { readonly graceMs?: number }): Promise<void>;
	/** Ends everything now. Idempotent. */
	close(): Promise<void>;
	/** Resolves when the worker has closed: because it was told to, or because its engine died. */
	readonly closed: Promise<void>;
	[Symbol.asyncDispose](): Promise<void>;
}

export interface WorkerParts {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
	readonly adapters: WorkerAdapters;
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	readonly handler: Handler;
	readonly canary: Canary | null;
	readonly ownsRuntime: boolean;
	readonly logger: Logger;
	readonly presence: Presence;
	readonly kvEventPublisher: KvEventPublisher | null;
	/** What the engine used and nobody else does. */
	readonly closeWithEngine: { close(): Promise<unknown> } | null;
}

/**
 * A worker that serves. It is in discovery only while its engine is healthy; when the engine dies for good it closes, so
 * that nothing is sent to it any more.
 */
export class ServingWorker implements TrtllmWorker {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
	readonly adapters: WorkerAdapters;
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	readonly closed: Promise<void>;
	readonly #parts: WorkerParts;
	readonly #stopWatching: () => void;
	#resolveClosed!: () => void;
	#isLeaving = false;
	#closing: Promise<void> | null = null;

	constructor(parts: WorkerParts) {
		this.#parts = parts;
		this.engine = parts.engine;
		this.info = parts.info;
		this.card = parts.card;
		this.adapters = parts.adapters;
		this.runtime = parts.runtime;
		this.served = parts.served;
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		const { logger, presence } = parts;
		const model = parts.card.name;
		let wasHealthy = true;
		this.#stopWatching = watchEngine(parts.engine, {
			onLook: (health) => {
				if (this.#isLeaving) return;
				const healthy = health.status === "healthy";
				if (healthy !== wasHealthy)
					logger[healthy ? "info" : "warn"](
						healthy ? "the engine is healthy again" : "the engine cannot serve: leaving discovery",
						{ model, ...health },
					);
				wasHealthy = healthy;
				presence.want(healthy);
			},
			onDeath: (reason) => {
				logger.error("the engine is dead: closing the worker", { model, reason });
				this.close().catch((error) => logger.error("closing failed", { error }));
			},
		});
	}

	get healthy(): boolean {
		if (this.#isLeaving) return false;
		return this.engine.health().status === "healthy" && (this.#parts.canary?.healthy ?? true);
	}

	generate(
		request: GenerateRequest,
		context: RequestContext = createRequestContext(),
	): AsyncIterable<EngineOutput> {
		if (this.#closing) throw new DynError("UNAVAILABLE", "the worker is closed");
		return this.#parts.handler.generate(request, context);
	}

	async drain(options: { readonly graceMs?: number } = {}): Promise<void> {
		this.#isLeaving = true;
		await this.#parts.presence.leave();
		await this.served.drain(options);
		await this.engine.drain();
		await this.close();
	}

	close(): Promise<void> {
		this.#isLeaving = true;
		this.#closing ??= this.#close();
		return this.#closing;
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	async #close(): Promise<void> {
		this.#stopWatching();
		this.#parts.canary?.close();
		try {
			await this.#parts.presence.leave();
			await this.#parts.kvEventPublisher?.close();
			// Both at once: a handler that overlooks the abort still ends with its engine.
			await Promise.all([this.served.close(), this.engine.close()]);
			await this.#parts.closeWithEngine?.close();
			if (this.#parts.ownsRuntime) await this.runtime.close();
		} finally {
			this.#resolveClosed();
		}
	}
}
