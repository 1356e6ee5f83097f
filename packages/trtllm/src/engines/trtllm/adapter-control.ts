// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, type Metrics } from "@dyn/common";
import type { Engine, RequestFeature } from "@dyn/engine";
import type { EngineControl, EngineLink } from "./engine-control.js";
import { type RequestRules, startedFeatures } from "./request-rules.js";
import { listening } from "./with-kv-events.js";

/** Time for a server that is there to say what it is, ms. */
const ANSWER_MS = 10_000;
/** How often it is asked how it is, ms: this is how soon traffic turns away, and comes back. */
const STATUS_MS = 250;

export interface AdapterControlOptions {
	readonly protocol: "smg" | "http";
	/** `host:port`. */
	readonly endpoint: string;
	readonly rules: RequestRules;
	/** What it was started with beyond the role. */
	readonly features: readonly RequestFeature[];
	readonly contextLength?: number | undefined;
	readonly vocabSize?: number | undefined;
	readonly eosTokenIds?: readonly number[] | undefined;
	/** Whether KV events are wanted. Over HTTP they are asked for, and whoever asks takes them from everybody else. */
	readonly kvEvents: boolean;
	readonly logger: Logger;
	readonly metrics?: Metrics | undefined;
}

/** Reaches a TensorRT-LLM over its other two protocols, whose adapters watch their connection themselves. */
export function createAdapterControl({
	protocol,
	endpoint,
	rules,
	kvEvents,
	logger,
	metrics,
	...options
}: AdapterControlOptions): EngineControl {
	const guided = startedFeatures(rules);
	const common = {
		...options,
		features: [
			...guided,
			...(guided.includes("guided_regex") ? (["guided_choice"] as const) : []),
			...options.features,
		],
		startupDeadlineMs: ANSWER_MS,
		statusIntervalMs: STATUS_MS,
	};
	const make = async (): Promise<Engine> => {
		if (protocol === "smg") return (await import("../smg/index.js")).createSmgEngine({ ...common, endpoint });
		const { createTrtllmHttpEngine } = await import("../http/index.js");
		return createTrtllmHttpEngine({ ...common, endpoint: `http://${endpoint}` });
	};
	const connect = async (signal: AbortSignal): Promise<EngineLink> => {
		const engine = await make();
		const leave = () => void engine.close();
		signal.addEventListener("abort", leave, { once: true });
		try {
			return { engine, info: await engine.start() };
		} catch (error) {
			await engine.close();
			throw error;
		} finally {
			signal.removeEventListener("abort", leave);
		}
	};
	/** A connection of our own: the others end with the life of the engine that they belong to. */
	let watcher: Promise<EngineLink> | null = null;
	const forget = (): void => {
		watcher?.then(({ engine }) => engine.close()).catch(() => {});
		watcher = null;
	};
	return {
		async probe(signal) {
			try {
				watcher ??= connect(signal);
				const health = (await watcher).engine.health();
				if (health.status === "healthy") return;
				throw new DynError("UNAVAILABLE", "reason" in health ? health.reason : "the engine is stuck");
			} catch (error) {
				forget();
				throw error;
			}
		},
		async connect(signal) {
			const link = await connect(signal);
			if (protocol !== "http" || !kvEvents) return link;
			return listening(link, { pollUrl: `http://${endpoint}/kv_cache_events`, logger, metrics });
		},
		close: forget,
	};
}
