// SPDX-License-Identifier: Apache-2.0
import {
	type Clock,
	DynError,
	type Logger,
	type Metrics,
	noMetrics,
	pause,
	type RequestContext,
	silentLogger,
	systemClock,
} from "@dyn/common";
import { checkFeatures, type Engine, type EngineHealth, type EngineInfo, type EngineLoad } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import type { EngineLink } from "./trtllm/engine-control.js";
import { EngineLives, type EngineLivesOptions } from "./trtllm/engine-lives.js";
import { Flight } from "./trtllm/flight.js";
import { HiddenStops } from "./trtllm/hidden-stops.js";
import { Progress, type StallLimits } from "./trtllm/progress.js";
import { RequestCounters } from "./trtllm/request-counters.js";
import { prepareRequest, type RequestRules } from "./trtllm/request-rules.js";

/** Time after its last answer in which decode workers may still fetch KV blocks from a prefill engine, ms (Dynamo's). */
const HANDOFF_MS = 30_000;
/** What engines say when they end, not a request. */
const GOING_DOWN = /shut(ting)?[ -]?down|executor.*(died|dead|closed)|engine ?core|EngineShutdown/i;

export interface TrtllmServeEngineOptions
	extends Pick<EngineLivesOptions, "control" | "launch" | "startupDeadlineMs" | "signal"> {
	readonly rules: RequestRules;
	/** For metrics. */
	readonly modelName: string;
	readonly stall?: StallLimits | undefined;
	readonly clock?: Clock | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
}

/**
 * TensorRT-LLM in a process of its own. When that ends, its requests fail with DISCONNECTED, so that frontends take them
 * elsewhere, and `health` says `restarting` until the next life answers with the same model.
 */
export class TrtllmServeEngine implements Engine {
	readonly #rules: RequestRules;
	readonly #launches: boolean;
	readonly #clock: Clock;
	readonly #lives: EngineLives;
	readonly #progress: Progress;
	readonly #counters: RequestCounters;
	readonly #flights = new Set<Flight>();
	#isDraining = false;
	#lastHandoffMs = Number.NEGATIVE_INFINITY;
	#closed: Promise<void> | null = null;

	constructor(options: TrtllmServeEngineOptions) {
		const {
			rules,
			stall,
			modelName,
			metrics = noMetrics,
			logger = silentLogger,
			clock = systemClock,
		} = options;
		this.#rules = rules;
		this.#launches = options.launch !== undefined;
		this.#clock = clock;
		this.#progress = new Progress(stall ?? {}, () => clock.monotonicMs());
		this.#counters = new RequestCounters(metrics, modelName, rules.mode ?? "agg");
		this.#lives = new EngineLives({
			...options,
			clock,
			logger,
			stalledMs: () => this.#progress.stalledMs,
			onLost: (reason) => this.#failAll(reason),
		});
	}

	/** @throws DynError of the launch, or UNAVAILABLE when no engine answers in time */
	async start(): Promise<EngineInfo> {
		const beganMs = this.#clock.monotonicMs();
		const info = await this.#lives.start();
		this.#counters.loaded(this.#clock.monotonicMs() - beganMs);
		return info;
	}

	async *generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		const { engine, info } = this.#serving();
		checkFeatures(request, info.capabilities.features);
		const prepared = prepareRequest(request, this.#rules);
		this.#counters.took(request);
		const stops = prepared.stop === request.stop ? null : HiddenStops.of(request.stop);
		const step = this.#progress.begin();
		const flight = new Flight({
			request: prepared,
			signal: context.signal,
			ask: (signal) => engine.generate(prepared, { ...context, signal }),
			onOutput: (output) => {
				step.moved();
				if (output.finishReason === "cancelled") this.#counters.aborted();
				if (output.kvSession) this.#lastHandoffMs = this.#clock.monotonicMs();
			},
			explain: (error) => this.#explain(error),
		});
		this.#flights.add(flight);
		void flight.landed.finally(() => {
			step.ended();
			this.#flights.delete(flight);
		});
		for await (const output of flight.outputs) {
			if (stops) yield* stops.filter(output);
			else yield output;
		}
	}

	async *kvEvents(): AsyncIterable<KvEvent> {
		const { state } = this.#lives;
		if (state.status === "serving") yield* state.link.engine.kvEvents();
	}

	load(): readonly EngineLoad[] {
		const { state, info } = this.#lives;
		if (state.status === "serving") return state.link.engine.load();
		return Array.from({ length: info?.dpSize ?? 0 }, (_, dpRank) => ({
			dpRank,
			runningSequences: 0,
			waitingSequences: 0,
			activeKvBlocks: 0,
			cachedKvBlocks: 0,
			totalKvBlocks: info!.totalKvBlocks,
		}));
	}

	health(): EngineHealth {
		const { state } = this.#lives;
		if (state.status !== "serving") return state;
		const sinceMs = this.#progress.stalledMs;
		return sinceMs === null ? state.link.engine.health() : { status: "stalled", sinceMs };
	}

	/** On a prefill engine of ours also until decode workers have had time to fetch what it computed: it cannot tell. */
	async drain(): Promise<void> {
		this.#isDraining = true;
		while (this.#flights.size > 0) await this.#landed();
		if (!this.#launches || this.#rules.mode !== "prefill") return;
		const restMs = this.#lastHandoffMs + HANDOFF_MS - this.#clock.monotonicMs();
		if (restMs > 0) await pause(restMs, this.#lives.signal);
	}

	close(): Promise<void> {
		if (!this.#closed) {
			for (const flight of this.#flights) flight.cancel();
			this.#closed = this.#lives.close(() => this.#landed());
		}
		return this.#closed;
	}

	async #landed(): Promise<void> {
		await Promise.all([...this.#flights].map(({ landed }) => landed));
	}

	#serving(): EngineLink {
		if (this.#isDraining) throw new DynError("DRAINING", "the engine takes no new requests");
		const { state } = this.#lives;
		if (state.status === "serving") return state.link;
		throw new DynError("UNAVAILABLE", `the engine takes no requests: ${state.reason}`);
	}

	#failAll(reason: string): void {
		for (const flight of this.#flights)
			flight.fail(new DynError("DISCONNECTED", `the engine was lost: ${reason}; send the request again`));
	}

	/** The death of an engine may reach its requests as their own failure: then they belong elsewhere. */
	async #explain(thrown: unknown): Promise<DynError> {
		const error = DynError.from(thrown);
		// Not by us: who cancels here aborts the signal, and gets no error. A CANCELLED cause would keep it from moving.
		if (error.code === "CANCELLED")
			return new DynError("DISCONNECTED", `the engine dropped the request: ${error.rawMessage}`);
		if (error.code !== "INTERNAL") return error;
		if (!GOING_DOWN.test(error.rawMessage) && (await this.#lives.isWell())) return error;
		return new DynError("DISCONNECTED", `the engine went down: ${error.rawMessage}`, { cause: error });
	}
}
