// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument, linkSignals, type RequestContext } from "@dyn/common";
import {
	ActiveRequests,
	checkFeatures,
	type Engine,
	type EngineHealth,
	type EngineInfo,
	type EngineLoad,
} from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import {
	createOpenEngineClient,
	type OpenEngineClient,
	type OpenEngineClientOptions,
} from "../client/openengine-client.js";
import type { OpenEngineDialect } from "./dialect.js";
import { engineInfoOf } from "./engine-info.js";
import { Generation, type GenerationCall } from "./generation.js";
import { hasKvEvents, readKvEvents } from "./kv-event-reader.js";
import { toRequestMessage } from "./request-message.js";
import { StatusPoller } from "./status-poller.js";

export interface OpenEngineEngineOptions extends OpenEngineClientOptions {
	/** The model's name at the server. Default: the first that it serves. */
	readonly model?: string | undefined;
	/** For servers that do not say (TensorRT-LLM). Default: the server's word. */
	readonly role?: "aggregated" | "prefill" | "decode" | undefined;
	/** Most tokens of prompt plus completion, for servers that do not say. */
	readonly contextLength?: number | undefined;
	readonly vocabSize?: number | undefined;
	readonly eosTokenIds?: readonly number[] | undefined;
	readonly dialect?: OpenEngineDialect | undefined;
	/** How long `start` waits for the server. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** Pause between questions for load and health. Default 1 s. */
	readonly statusIntervalMs?: number | undefined;
}

/** An `Engine` in another process that serves OpenEngine. */
export function createOpenEngineEngine(options: OpenEngineEngineOptions): Engine {
	return new OpenEngineEngine(options);
}

interface Started {
	readonly client: OpenEngineClient;
	readonly model: string;
	readonly info: EngineInfo;
	readonly status: StatusPoller;
}

class OpenEngineEngine implements Engine {
	readonly #options: OpenEngineEngineOptions;
	readonly #dialect: OpenEngineDialect;
	readonly #closing = new AbortController();
	readonly #active = new ActiveRequests<null>();
	#started: Started | null = null;
	#isDraining = false;

	constructor(options: OpenEngineEngineOptions) {
		this.#options = options;
		this.#dialect = options.dialect ?? {};
	}

	async start(): Promise<EngineInfo> {
		const { startupDeadlineMs, statusIntervalMs = 1000 } = this.#options;
		const client = await createOpenEngineClient(this.#options);
		try {
			const { signal } = this.#closing;
			const server = await client.connect({ startupDeadlineMs, signal });
			const model = this.#options.model ?? server.supportedModels[0];
			if (!model)
				throw invalidArgument(
					"model",
					`${server.engineName} names no model that it serves; say which one to ask for`,
				);
			const [description, kvEvents] = await Promise.all([
				client.getModelInfo({ model }, { signal }),
				hasKvEvents(client),
			]);
			const info = engineInfoOf({
				...this.#options,
				server,
				model: description,
				dialect: this.#dialect,
				kvEvents,
			});
			const status = new StatusPoller({
				client,
				info,
				intervalMs: statusIntervalMs,
				ownRequests: () => this.#active.size,
			});
			await status.run();
			this.#started = { client, model, info, status };
			if (signal.aborted) this.#disconnect();
			return info;
		} catch (error) {
			client.close();
			throw error;
		}
	}

	generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		return new Generation(request, () => this.#begin(request, context));
	}

	#begin(request: GenerateRequest, context: RequestContext): GenerationCall {
		const { client, info, model } = this.#running();
		if (this.#isDraining) throw new DynError("DRAINING", "the engine takes no new requests");
		checkFeatures(request, info.capabilities.features);
		checkRequest(request, info);
		const requestId = this.#active.freeId(context.id);
		const message = toRequestMessage(request, {
			requestId,
			model,
			contextLength: info.contextLength,
			dialect: this.#dialect,
		});
		const { signal, unlink } = linkSignals(context.signal, this.#closing.signal);
		const { priority, dpRank } = request.routing;
		this.#active.add(requestId, null);
		return {
			signal,
			send: () =>
				client.generate(message, {
					signal,
					timeoutMs:
						context.deadlineMs === null ? undefined : Math.max(1, context.deadlineMs - performance.now()),
					trace: context.trace ?? undefined,
					priority: info.capabilities.features.includes("priority") ? (priority ?? undefined) : undefined,
					targetDpRank: dpRank ?? undefined,
				}),
			onEnd: (isAbandoned) => {
				unlink();
				// The stream is cancelled by now, but not every engine frees a request for that alone.
				if (isAbandoned) void client.abort({ requestId }).catch(() => {});
				this.#active.remove(requestId);
				if (this.#closing.signal.aborted) this.#disconnect();
			},
		};
	}

	async *kvEvents(): AsyncIterable<KvEvent> {
		const { client, info } = this.#running();
		const { signal } = this.#closing;
		if (!info.capabilities.kvEvents) return;
		try {
			yield* readKvEvents(client, info.dpSize, signal);
		} catch (error) {
			if (!signal.aborted) throw error;
		}
	}

	load(): readonly EngineLoad[] {
		return this.#started?.status.load() ?? [];
	}

	health(): EngineHealth {
		return this.#started?.status.health ?? { status: "restarting", reason: "not connected yet" };
	}

	async drain(): Promise<void> {
		this.#isDraining = true;
		await this.#active.idle();
	}

	async close(): Promise<void> {
		this.#closing.abort();
		this.#disconnect();
	}

	#running(): Started {
		if (this.#closing.signal.aborted) throw new DynError("UNAVAILABLE", "the engine is closed");
		if (!this.#started) throw new DynError("UNAVAILABLE", "the engine has not started; await start() first");
		return this.#started;
	}

	/** Once nothing runs: the last aborts still need the connection. */
	#disconnect(): void {
		this.#started?.status.close();
		if (this.#active.size === 0) this.#started?.client.close();
	}
}

/** What the engine would refuse too, but with a status that does not tell why. */
function checkRequest({ tokenIds, stop, sampling }: GenerateRequest, info: EngineInfo): void {
	const { contextLength, vocabSize, capabilities } = info;
	if ((sampling.n ?? 1) > capabilities.maxChoices)
		throw invalidArgument(
			"n",
			`n is ${sampling.n}; this engine gives at most ${capabilities.maxChoices} choices`,
		);
	if (tokenIds.length === 0) throw invalidArgument("prompt", "the prompt is empty; send at least one token");
	for (const id of tokenIds)
		if (!(id >= 0 && id < vocabSize && Number.isInteger(id)))
			throw invalidArgument("prompt", `the prompt has the token id ${id}; ids go from 0 to ${vocabSize - 1}`);
	if (tokenIds.length >= contextLength)
		throw new DynError(
			"CONTEXT_LENGTH_EXCEEDED",
			`the prompt has ${tokenIds.length} tokens and the context ${contextLength}; shorten the prompt`,
			{ details: { param: "prompt" } },
		);
	if (stop.maxTokens !== null && stop.maxTokens < 1)
		throw invalidArgument("max_tokens", `max_tokens is ${stop.maxTokens}; ask for at least 1`);
}
