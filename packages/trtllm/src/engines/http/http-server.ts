// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import type { GenerateRequest } from "@dyn/protocols";
import { wrong } from "../client/answer-reader.js";
import { poll } from "../client/poll.js";
import type { RemoteCall, RemoteServer } from "../client/remote-engine.js";
import type { ServerEvent } from "../client/server-event.js";
import { CompletionReader } from "./completion-reader.js";
import { type HttpLora, toCompletionRequest } from "./completion-request.js";
import type { HttpCallOptions, HttpConnection, JsonObject } from "./http-connection.js";
import type { IterationStats } from "./iteration-stats.js";
import type { TrtllmHttpClient } from "./trtllm-http-client.js";

export const STATUS_TIMEOUT_MS = 10_000;

export interface HttpServerOptions {
	readonly loras?: ReadonlyMap<string, HttpLora> | undefined;
	readonly statusIntervalMs?: number | undefined;
}

/** A server of HTTP that has said what it is. */
export class HttpServer implements RemoteServer {
	readonly info: EngineInfo;
	/** Resolves after the first question for health and load. */
	readonly ready: Promise<void>;
	readonly #connection: HttpConnection;
	readonly #client: TrtllmHttpClient;
	readonly #loras: ReadonlyMap<string, HttpLora>;
	readonly #closing = new AbortController();
	readonly #stopPolling: () => void;
	#health: EngineHealth = { status: "healthy" };
	#running = 0;
	#stats: IterationStats | null = null;

	constructor(
		connection: HttpConnection,
		client: TrtllmHttpClient,
		info: EngineInfo,
		{ loras, statusIntervalMs = 1000 }: HttpServerOptions,
	) {
		this.#connection = connection;
		this.#client = client;
		this.info = info;
		this.#loras = loras ?? new Map();
		const { first, stop } = poll(statusIntervalMs, () => this.#look());
		this.ready = first;
		this.#stopPolling = stop;
	}

	ask(request: GenerateRequest, { terms, signal, context }: RemoteCall): AsyncIterable<ServerEvent> {
		const body = toCompletionRequest(request, {
			model: this.info.model,
			terms,
			loras: this.#loras,
			hasPriority: this.info.capabilities.features.includes("priority"),
		});
		const timeoutMs =
			context.deadlineMs === null ? undefined : Math.max(1, context.deadlineMs - performance.now());
		const headers = context.trace ? { ...context.trace } : undefined;
		return this.#events(body, new CompletionReader(request), { signal, timeoutMs, headers });
	}

	async *#events(
		body: JsonObject,
		reader: CompletionReader,
		options: HttpCallOptions,
	): AsyncIterable<ServerEvent> {
		this.#running++;
		try {
			if (!body["stream"]) {
				const answer = await this.#connection.json("POST", "/v1/completions", body, options);
				if (typeof answer !== "object" || answer === null) throw wrong("a completion that is no object");
				yield* reader.read(answer as JsonObject);
				yield* reader.finish();
				return;
			}
			for await (const event of this.#connection.events("/v1/completions", body, options))
				yield* reader.read(event);
			yield* reader.finish();
		} finally {
			this.#running--;
		}
	}

	/** Closing the connection is all there is: the server aborts what nobody reads. */
	abort(): void {}

	health(): EngineHealth {
		return this.#health;
	}

	load(own: EngineLoad): EngineLoad {
		const stats = this.#stats;
		if (!stats) return own;
		const kv = stats.kvCacheStats;
		return {
			...own,
			runningSequences: Math.max(0, stats.numActiveRequests),
			waitingSequences: Math.max(0, stats.numQueuedRequests),
			activeKvBlocks: kv?.usedNumBlocks ?? own.activeKvBlocks,
			totalKvBlocks: kv?.maxNumBlocks ?? own.totalKvBlocks,
			...(typeof kv?.cacheHitRate === "number" ? { kvCacheHitRate: kv.cacheHitRate } : {}),
		};
	}

	close(): void {
		this.#closing.abort();
		this.#stopPolling();
		this.#connection.close();
	}

	async #look(): Promise<void> {
		const call = { signal: this.#closing.signal, timeoutMs: STATUS_TIMEOUT_MS };
		try {
			await this.#client.health(call);
			this.#health = { status: "healthy" };
		} catch (error) {
			this.#health = { status: "restarting", reason: DynError.from(error).rawMessage };
			this.#stats = null;
			return;
		}
		try {
			const latest = (await this.#client.metrics(call)).at(-1);
			// An engine that runs nothing makes no iterations: what the last one said is over.
			if (latest || this.#running === 0) this.#stats = latest ?? null;
		} catch {
			this.#stats = null; // no statistics: the own requests are what is known
		}
	}
}
