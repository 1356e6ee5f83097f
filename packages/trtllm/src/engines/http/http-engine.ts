// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { cancellationError, DynError } from "@dyn/common";
import type { Engine, EngineHealth, EngineInfo, EngineLoad, RequestFeature } from "@dyn/engine";
import type { GenerateRequest } from "@dyn/protocols";
import { wrong } from "../client/answer-reader.js";
import { engineInfoOf, featuresOf, type ModelFacts } from "../client/model-facts.js";
import { poll } from "../client/poll.js";
import { type RemoteCall, RemoteEngine, type RemoteServer } from "../client/remote-engine.js";
import type { ServerEvent } from "../client/server-event.js";
import { CompletionReader } from "./completion-reader.js";
import { type HttpLora, toCompletionRequest } from "./completion-request.js";
import { HttpConnection, type JsonObject } from "./http-connection.js";
import type { IterationStats } from "./iteration-stats.js";
import { TrtllmHttpClient } from "./trtllm-http-client.js";

const STATUS_TIMEOUT_MS = 10_000;
/** Pause between attempts to reach a server that is not there yet. */
const RETRY_MS = 250;

const ALWAYS: readonly RequestFeature[] = [
	"logit_bias",
	"best_of",
	"length_penalty",
	"visible_stop_token_ids",
];
const CONFIGURABLE: readonly RequestFeature[] = [
	"beam_search",
	"guided_json_schema",
	"guided_json_object",
	"guided_regex",
	"guided_grammar",
	"guided_structural_tag",
	"guided_choice",
	"priority",
	"conversation_id",
	"lora",
	"prefill",
	"decode",
];

export interface TrtllmHttpEngineOptions extends ModelFacts {
	/** `http://host:port` of `trtllm-serve`. */
	readonly endpoint: string;
	/** The model's name at the server. Default: the first that it serves. */
	readonly model?: string | undefined;
	/**
	 * What the server was started for and does not say: `beam_search` (max_beam_width), `guided_*` (guided_decoding_backend),
	 * `priority` (a waiting queue by priority), `conversation_id`, `prefill` and `decode` (cache_transceiver_config).
	 * Default: none; requests for them are refused.
	 */
	readonly features?: readonly RequestFeature[] | undefined;
	/** LoRA adapters by the names that requests use. */
	readonly loras?: ReadonlyMap<string, HttpLora> | undefined;
	/** How long `start` waits for the server. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** Pause between questions for health and load. Default 1 s. */
	readonly statusIntervalMs?: number | undefined;
}

/**
 * TensorRT-LLM behind the OpenAI-compatible HTTP server of `trtllm-serve`, token ids both ways. It tells neither context
 * length nor vocabulary (give them), no alternatives to a token by id, and no KV events. `load` is `/metrics`, of which
 * there is one reader only; without `enable_iter_perf_stats` it counts this client's own requests.
 * @throws DynError INVALID_ARGUMENT for a feature or an address that cannot be
 */
export function createTrtllmHttpEngine(options: TrtllmHttpEngineOptions): Engine {
	const loras = options.loras?.size ? (["lora"] as const) : [];
	const features = featuresOf("trtllm-serve's HTTP", ALWAYS, CONFIGURABLE, [
		...(options.features ?? []),
		...loras,
	]);
	const connection = new HttpConnection(options.endpoint);
	return new RemoteEngine((signal) => connect(options, features, connection, signal));
}

async function connect(
	options: TrtllmHttpEngineOptions,
	features: readonly RequestFeature[],
	connection: HttpConnection,
	signal: AbortSignal,
): Promise<RemoteServer> {
	const client = TrtllmHttpClient.over(connection);
	try {
		await untilReady(client, options.startupDeadlineMs ?? 1_800_000, signal);
		const call = { signal, timeoutMs: STATUS_TIMEOUT_MS };
		const model = options.model ?? (await client.models(call))[0];
		if (model === undefined)
			throw new DynError(
				"INVALID_ARGUMENT",
				`the server at ${connection.endpoint} names no model; say which one to ask for`,
				{
					details: { param: "model" },
				},
			);
		const description = `TensorRT-LLM ${await client.version(call)} over HTTP at ${connection.endpoint}`;
		const info = engineInfoOf({ model, description, features, logprobs: false }, options);
		const server = new HttpServer(connection, client, info, options);
		await server.ready;
		return server;
	} catch (error) {
		connection.close();
		throw error;
	}
}

async function untilReady(
	client: TrtllmHttpClient,
	startupDeadlineMs: number,
	signal: AbortSignal,
): Promise<void> {
	const deadlineMs = performance.now() + startupDeadlineMs;
	for (;;) {
		if (signal.aborted) throw cancellationError(signal);
		try {
			return await client.health({ signal, timeoutMs: STATUS_TIMEOUT_MS });
		} catch (error) {
			if (performance.now() >= deadlineMs || signal.aborted || !DynError.from(error).retryable) throw error;
		}
		await delay(RETRY_MS, undefined, { ref: false, signal }).catch(() => {});
	}
}

class HttpServer implements RemoteServer {
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
		{ loras, statusIntervalMs = 1000 }: TrtllmHttpEngineOptions,
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
		options: {
			readonly signal: AbortSignal;
			readonly timeoutMs: number | undefined;
			readonly headers: Record<string, string> | undefined;
		},
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
