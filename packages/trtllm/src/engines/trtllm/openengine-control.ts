// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, type Metrics, silentLogger } from "@dyn/common";
import type { EngineInfo, RequestFeature } from "@dyn/engine";
import {
	createOpenEngineClient,
	createOpenEngineEngine,
	messages,
	type OpenEngineClient,
	type OpenEngineDialect,
} from "@dyn/openengine";
import { namedEndpoints } from "../../kv-events/trtllm/named-endpoints.js";
import type { KvEventEndpoint } from "../../kv-events/trtllm/open-kv-event-source.js";
import type { EngineControl } from "./engine-control.js";
import { type RequestRules, startedFeatures } from "./request-rules.js";
import { listening } from "./with-kv-events.js";

export interface OpenEngineControlOptions {
	/** `host:port`. */
	readonly endpoint: string;
	readonly rules: RequestRules;
	/** Sent to an engine that names no model; TensorRT-LLM answers to every name. */
	readonly modelName: string;
	/** What the engine may not say, and the model's files do. */
	readonly contextLength?: number | undefined;
	readonly vocabSize?: number | undefined;
	readonly eosTokenIds?: readonly number[] | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
}

/** Most choices where the engine does not say how many it takes: the most that a request may ask for. */
const MAX_CHOICES = 128;
/** Time for an answer of an engine that is there, ms. */
const ANSWER_MS = 10_000;

const { HealthState } = messages;

/** Reaches a TensorRT-LLM over OpenEngine. @throws DynError INVALID_ARGUMENT for an endpoint that is none */
export async function createOpenEngineControl(options: OpenEngineControlOptions): Promise<EngineControl> {
	const { endpoint, rules, metrics, logger = silentLogger } = options;
	// Looks every moment: this is how soon traffic comes back.
	const client = await createOpenEngineClient({ endpoint, connections: 1, retryIntervalMs: 250 });
	return {
		async probe(signal) {
			const { state, checks } = await client.health({}, { signal });
			if (state === HealthState.READY || state === HealthState.DEGRADED) return;
			const why = checks.map(({ name, message }) => `${name} ${message}`.trim()).join(", ");
			throw new DynError("UNAVAILABLE", `the engine is not ready${why && `: ${why}`}`);
		},
		async connect(signal) {
			await client.connect({ startupDeadlineMs: ANSWER_MS, signal });
			const server = await client.getServerInfo({}, { signal });
			const model = server.supportedModels[0] ?? options.modelName;
			const { generation } = await client.getModelInfo({ model }, { signal });
			const engine = createOpenEngineEngine({
				endpoint,
				role: roleOf(rules),
				model,
				contextLength: options.contextLength,
				vocabSize: options.vocabSize,
				eosTokenIds: options.eosTokenIds,
				startupDeadlineMs: ANSWER_MS,
				statusIntervalMs: 250,
				dialect: trtllmDialect(rules, {
					ranksCanBeChosen: server.extra?.["trtllm_supports_dp_rank_targeting"] === true,
					maxChoices: generation?.maxNumSequences ?? MAX_CHOICES,
				}),
			});
			try {
				const info = beyondTheProtocol(await engine.start());
				if (info.capabilities.kvEvents) return { engine, info };
				const publishers = await publishersOf(client, signal);
				if (publishers.length === 0) return { engine, info };
				return listening({ engine, info }, { askEngine: async () => publishers, logger, metrics });
			} catch (error) {
				await engine.close();
				throw error;
			}
		},
		close: () => client.close(),
	};
}

/** Where the engine publishes its KV events over ZeroMQ, by its own word; nowhere for servers that do not say (before PR 19440). */
async function publishersOf(
	client: OpenEngineClient,
	signal: AbortSignal,
): Promise<readonly KvEventEndpoint[]> {
	try {
		return namedEndpoints((await client.getKvEventSources({}, { signal })).sources);
	} catch (error) {
		signal.throwIfAborted();
		if (DynError.is(error, "UNIMPLEMENTED") || DynError.is(error, "UNAVAILABLE")) return [];
		throw error;
	}
}

/** How TensorRT-LLM's OpenEngine server differs from the contract (its grpc/openengine README and servicer). */
export function trtllmDialect(
	rules: RequestRules,
	{ ranksCanBeChosen, maxChoices }: { readonly ranksCanBeChosen: boolean; readonly maxChoices: number },
): OpenEngineDialect {
	const started = startedFeatures(rules);
	const parts = (["prefill", "decode"] as const).filter((part) => part !== rules.mode);
	const addFeatures: RequestFeature[] = ["conversation_id", ...started];
	if (ranksCanBeChosen) addFeatures.push("dp_rank");
	return {
		addFeatures,
		// With a cache transceiver the server claims both; the worker's role decides.
		removeFeatures: parts,
		maxChoices,
		// 0 switches log-probabilities off there.
		leastTopN: 1,
		// Token ids are all that is read of an answer.
		extra: () => ({ detokenize: false }),
	};
}

const roleOf = ({ mode = "agg" }: RequestRules) =>
	mode === "prefill" || mode === "decode" ? mode : "aggregated";

/** What requests can ask for because it is said in another way (`prepareRequest`). */
function beyondTheProtocol(info: EngineInfo): EngineInfo {
	const { features } = info.capabilities;
	if (!features.includes("guided_regex") || features.includes("guided_choice")) return info;
	return { ...info, capabilities: { ...info.capabilities, features: [...features, "guided_choice"] } };
}
