// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, pause } from "@dyn/common";
import type { Engine, RequestFeature } from "@dyn/engine";
import { engineInfoOf, featuresOf, type ModelFacts } from "../client/model-facts.js";
import { RemoteEngine, type RemoteServer } from "../client/remote-engine.js";
import type { HttpLora } from "./completion-request.js";
import { HttpConnection } from "./http-connection.js";
import { HttpServer, STATUS_TIMEOUT_MS } from "./http-server.js";
import { TrtllmHttpClient } from "./trtllm-http-client.js";

/** Pause between attempts to reach a server that is not there yet. */
const RETRY_MS = 250;

/** What the protocol can carry: `configurable` works only on a server that was started for it. */
export const HTTP_FEATURES: Readonly<Record<"always" | "configurable", readonly RequestFeature[]>> = {
	always: ["logit_bias", "best_of", "length_penalty", "visible_stop_token_ids"],
	configurable: [
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
	],
};

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
	const features = featuresOf("trtllm-serve's HTTP", HTTP_FEATURES, [...(options.features ?? []), ...loras]);
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
		await pause(RETRY_MS, signal);
	}
}
