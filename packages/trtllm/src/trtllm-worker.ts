// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, type Logger, type RequestContext } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, ModelCard } from "@dyn/protocols";
import type { Canary, Runtime, ServedEndpoint } from "@dyn/runtime";
import type { Handler } from "./handlers/handler.js";
import { watchEngine } from "./health/watch-engine.js";

export interface TrtllmWorker {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
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
	readonly runtime: Runtime;
	readonly served: ServedEndpoint;
	readonly handler: Handler;
	readonly canary: Canary | null;
	readonly ownsRuntime: boolean;
	readonly logger: Logger;
	/** Takes the model card out of discovery; does not reject. */
	withdraw(): Promise<void>;
}

/** A worker that serves. When its engine dies it leaves discovery and closes, so that nothing is sent to it any more. */
export class ServingWorker implements TrtllmWorker {
	readonly engine: Engine;
	readonly info: EngineInfo;
	readonly card: ModelCard;
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
		this.runtime = parts.runtime;
		this.served = parts.served;
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		this.#stopWatching = watchEngine(parts.engine, (reason) => {
			parts.logger.error("the engine is dead: closing the worker", { model: parts.card.name, reason });
			this.close().catch((error) => parts.logger.error("closing failed", { error }));
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
		await this.#parts.withdraw();
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
			await this.#parts.withdraw();
			// Both at once: a handler that overlooks the abort still ends with its engine.
			await Promise.all([this.served.close(), this.engine.close()]);
			if (this.#parts.ownsRuntime) await this.runtime.close();
		} finally {
			this.#resolveClosed();
		}
	}
}
