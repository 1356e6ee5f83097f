// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Engine, RequestFeature } from "@dyn/engine";
import { SMG_SERVICE, type SmgMethod } from "@dyn/protocols/smg";
import { engineInfoOf, featuresOf, type ModelFacts } from "../client/model-facts.js";
import { RemoteEngine, type RemoteServer } from "../client/remote-engine.js";
import { CONTROL_TIMEOUT_MS, clientMethod, MAX_MESSAGE_BYTES, SmgServer } from "./smg-server.js";

/** What the protocol can carry: `configurable` works only on a server that was started for it. */
export const SMG_FEATURES: Readonly<Record<"always" | "configurable", readonly RequestFeature[]>> = {
	always: ["logit_bias", "bad_words", "length_penalty", "visible_stop_token_ids", "prompt_logprobs"],
	configurable: [
		"beam_search",
		"guided_json_schema",
		"guided_json_object",
		"guided_regex",
		"guided_grammar",
		"guided_structural_tag",
		"guided_choice",
		"image",
		"lora",
	],
};

export interface SmgEngineOptions extends ModelFacts {
	/** `host:port` of `trtllm-serve --grpc`. */
	readonly endpoint: string;
	/** The model's name. Default: the server's word. */
	readonly model?: string | undefined;
	/**
	 * What the server was started for and does not say: `beam_search` (max_beam_width), `guided_*` (guided_decoding_backend),
	 * `image` (a model that sees). Default: none; requests for them are refused.
	 */
	readonly features?: readonly RequestFeature[] | undefined;
	/** Task ids of the LoRA adapters that the server has, by the names that requests use. */
	readonly loraTaskIds?: ReadonlyMap<string, bigint> | undefined;
	/** HTTP/2 connections. Default 8. */
	readonly connections?: number | undefined;
	/** How long `start` waits for the server. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** Pause between questions for health. Default 1 s. */
	readonly statusIntervalMs?: number | undefined;
}

/**
 * TensorRT-LLM behind its default gRPC protocol (SMG, `trtllm.TrtllmService`): prefill and decode together, no KV events,
 * no statistics (`load` counts this client's own requests), and no text, salt, priority or rank.
 * @throws DynError INVALID_ARGUMENT for a feature that the protocol does not have
 */
export function createSmgEngine(options: SmgEngineOptions): Engine {
	const loras = options.loraTaskIds?.size ? (["lora"] as const) : [];
	const features = featuresOf("SMG", SMG_FEATURES, [...(options.features ?? []), ...loras]);
	return new RemoteEngine((signal) => connect(options, features, signal));
}

async function connect(
	options: SmgEngineOptions,
	features: readonly RequestFeature[],
	signal: AbortSignal,
): Promise<RemoteServer> {
	const { createGrpcChannelPool } = await import("@dyn/openengine/grpc");
	const { endpoint, connections } = options;
	const pool = await createGrpcChannelPool({
		endpoint,
		maxMessageBytes: MAX_MESSAGE_BYTES,
		...(connections === undefined ? {} : { connections }),
	});
	try {
		await pool.connect({ startupDeadlineMs: options.startupDeadlineMs, signal });
		const ask = <Response>(method: SmgMethod<Readonly<Record<never, never>>, Response>) =>
			pool.unary(clientMethod(method), {}, { signal, timeoutMs: CONTROL_TIMEOUT_MS });
		const [model, server] = await Promise.all([
			ask(SMG_SERVICE.getModelInfo),
			ask(SMG_SERVICE.getServerInfo),
		]);
		// Both lengths the same: the server knows neither.
		const contextLength = model.maxSeqLen === model.maxInputLen ? undefined : model.maxSeqLen;
		const info = engineInfoOf(
			{
				model: options.model ?? model.modelId,
				description: `TensorRT-LLM ${server.version || "of an unknown version"} over SMG at ${pool.endpoint}`,
				features,
				logprobs: true,
			},
			{
				...options,
				contextLength: options.contextLength ?? contextLength,
				vocabSize: options.vocabSize ?? model.vocabSize,
				maxNumSeqs: options.maxNumSeqs ?? (model.maxBatchSize || undefined),
			},
		);
		const connection = new SmgServer(pool, info, options);
		await connection.ready;
		return connection;
	} catch (error) {
		pool.close();
		if (DynError.is(error, "UNIMPLEMENTED"))
			throw new DynError(
				"UNIMPLEMENTED",
				`the server at ${endpoint} does not speak SMG; start it with --grpc --grpc-protocol smg`,
				{ cause: error },
			);
		throw error;
	}
}
