// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import {
	type Clock,
	DynError,
	type Logger,
	linkSignals,
	type Metrics,
	noMetrics,
	type RequestContext,
	silentLogger,
	systemClock,
} from "@dyn/common";
import { checkFeatures, type Engine, type EngineHealth, type EngineInfo, type EngineLoad } from "@dyn/engine";
import type { EngineOutput, GenerateRequest, KvEvent } from "@dyn/protocols";
import type { ServeEvent, TrtllmServe, TrtllmServeOptions } from "../serve/trtllm-serve.js";
import { Flight } from "./trtllm/flight.js";
import { HiddenStops } from "./trtllm/hidden-stops.js";
import type { EngineControl, EngineLink } from "./trtllm/openengine-control.js";
import { Progress, type StallLimits } from "./trtllm/progress.js";
import { RequestCounters } from "./trtllm/request-counters.js";
import { prepareRequest, type RequestRules } from "./trtllm/request-rules.js";

/** Pause between two looks at an engine that is not there, ms. */
const RECONNECT_MS = 250;
/** Time that an engine gets to say that it is well after it failed a request, ms. */
const WELL_MS = 2000;
/** Time after its last answer in which decode workers may still fetch KV blocks from a prefill engine, ms (Dynamo's). */
const HANDOFF_MS = 30_000;
/** What engines say when they end, not a request. */
const GOING_DOWN = /shut(ting)?[ -]?down|executor.*(died|dead|closed)|engine ?core|EngineShutdown/i;

export type LaunchHooks = Pick<TrtllmServeOptions, "probe" | "onEvent" | "signal">;

export interface TrtllmServeEngineOptions {
	readonly control: EngineControl;
	/** Starts and supervises the engine. Default: it runs already and somebody else looks after it. */
	readonly launch?: ((hooks: LaunchHooks) => Promise<TrtllmServe>) | undefined;
	readonly rules: RequestRules;
	/** For metrics. */
	readonly modelName: string;
	/** How long `start` waits for an engine that runs already, ms. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	readonly stall?: StallLimits | undefined;
	readonly signal?: AbortSignal | undefined;
	readonly clock?: Clock | undefined;
	readonly logger?: Logger | undefined;
	readonly metrics?: Metrics | undefined;
}

type State =
	| { readonly status: "serving"; readonly link: EngineLink }
	| { readonly status: "restarting"; readonly reason: string }
	| { readonly status: "dead"; readonly reason: string };

/**
 * TensorRT-LLM in a process of its own. When that ends, its requests fail with DISCONNECTED, so that frontends take them
 * elsewhere, and `health` says `restarting` until the next life answers with the same model.
 */
export class TrtllmServeEngine implements Engine {
	readonly #options: TrtllmServeEngineOptions;
	readonly #clock: Clock;
	readonly #logger: Logger;
	readonly #progress: Progress;
	readonly #counters: RequestCounters;
	readonly #closing = new AbortController();
	readonly #flights = new Set<Flight>();
	#state: State = { status: "restarting", reason: "the engine has not started" };
	#serve: TrtllmServe | null = null;
	#info: EngineInfo | null = null;
	#isDraining = false;
	#lastHandoffMs = Number.NEGATIVE_INFINITY;
	#closed: Promise<void> | null = null;

	constructor(options: TrtllmServeEngineOptions) {
		this.#options = options;
		this.#clock = options.clock ?? systemClock;
		this.#logger = options.logger ?? silentLogger;
		this.#progress = new Progress(options.stall ?? {}, () => this.#clock.monotonicMs());
		this.#counters = new RequestCounters(
			options.metrics ?? noMetrics,
			options.modelName,
			options.rules.mode ?? "agg",
		);
	}

	/** @throws DynError of the launch, or UNAVAILABLE when no engine answers in time */
	async start(): Promise<EngineInfo> {
		const { launch, control, signal = this.#closing.signal } = this.#options;
		const beganMs = this.#clock.monotonicMs();
		const either = linkSignals(signal, this.#closing.signal);
		try {
			if (launch) {
				this.#serve = await launch({
					probe: (probeSignal) => this.#probe(probeSignal),
					onEvent: (event) => this.#onEvent(event),
					signal: either.signal,
				});
				const serve = this.#serve;
				void serve.closed.then(() => {
					if (serve.failure) this.#die(serve.failure.rawMessage);
				});
			} else await this.#untilReady(either.signal);
			const link = await control.connect(either.signal);
			this.#info = link.info;
			this.#state = { status: "serving", link };
		} finally {
			either.unlink();
		}
		this.#counters.loaded(this.#clock.monotonicMs() - beganMs);
		if (!launch) void this.#watchAttached();
		return this.#info;
	}

	async *generate(request: GenerateRequest, context: RequestContext): AsyncIterable<EngineOutput> {
		const { engine, info } = this.#serving();
		checkFeatures(request, info.capabilities.features);
		const prepared = prepareRequest(request, this.#options.rules);
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
		if (this.#state.status === "serving") yield* this.#state.link.engine.kvEvents();
	}

	load(): readonly EngineLoad[] {
		if (this.#state.status === "serving") return this.#state.link.engine.load();
		return Array.from({ length: this.#info?.dpSize ?? 0 }, (_, dpRank) => ({
			dpRank,
			runningSequences: 0,
			waitingSequences: 0,
			activeKvBlocks: 0,
			cachedKvBlocks: 0,
			totalKvBlocks: this.#info!.totalKvBlocks,
		}));
	}

	health(): EngineHealth {
		if (this.#state.status !== "serving") return this.#state;
		const sinceMs = this.#progress.stalledMs;
		return sinceMs === null ? this.#state.link.engine.health() : { status: "stalled", sinceMs };
	}

	/** On a prefill engine of ours also until decode workers have had time to fetch what it computed: it cannot tell. */
	async drain(): Promise<void> {
		this.#isDraining = true;
		while (this.#flights.size > 0) await Promise.all([...this.#flights].map(({ landed }) => landed));
		if (!this.#serve || this.#options.rules.mode !== "prefill") return;
		const restMs = this.#lastHandoffMs + HANDOFF_MS - this.#clock.monotonicMs();
		if (restMs > 0) await pause(restMs, this.#closing.signal);
	}

	close(): Promise<void> {
		this.#closed ??= this.#close();
		return this.#closed;
	}

	async #close(): Promise<void> {
		for (const flight of this.#flights) flight.cancel();
		this.#closing.abort();
		const { control } = this.#options;
		const { engine } = this.#state.status === "serving" ? this.#state.link : { engine: null };
		this.#state = { status: "dead", reason: "the engine is closed" };
		await engine?.close();
		await Promise.all([...this.#flights].map(({ landed }) => landed));
		await this.#serve?.close();
		control.close();
	}

	#serving(): EngineLink {
		if (this.#isDraining) throw new DynError("DRAINING", "the engine takes no new requests");
		if (this.#state.status === "serving") return this.#state.link;
		throw new DynError("UNAVAILABLE", `the engine takes no requests: ${this.#state.reason}`);
	}

	/** What the supervisor asks. An engine that hangs says that it is well, so the supervisor hears of it here. */
	async #probe(signal: AbortSignal): Promise<void> {
		const sinceMs = this.#progress.stalledMs;
		if (sinceMs !== null)
			throw new DynError(
				"UNAVAILABLE",
				`the engine has work and gave no token for ${Math.round(sinceMs)} ms`,
			);
		await this.#options.control.probe(signal);
	}

	#onEvent(event: ServeEvent): void {
		if (event.type === "exited")
			this.#lose(`its process ended (${event.signal ?? `exit code ${event.exitCode}`})`);
		else void this.#reconnect();
	}

	/** This life of the engine is over: so are its requests. */
	#lose(reason: string): void {
		if (this.#closing.signal.aborted || this.#state.status === "dead") return;
		const { engine } = this.#state.status === "serving" ? this.#state.link : { engine: null };
		this.#state = { status: "restarting", reason };
		for (const flight of this.#flights)
			flight.fail(new DynError("DISCONNECTED", `the engine was lost: ${reason}; send the request again`));
		engine
			?.close()
			.catch((error) => this.#logger.warn("could not close the lost engine's connection", { error }));
	}

	#die(reason: string): void {
		this.#lose(reason);
		if (!this.#closing.signal.aborted) this.#state = { status: "dead", reason };
	}

	/** Until the engine answers again. What comes back as something else must not serve under the old name. */
	async #reconnect(): Promise<void> {
		const { control } = this.#options;
		const { signal } = this.#closing;
		while (this.#state.status === "restarting" && !signal.aborted) {
			try {
				await control.probe(signal);
				const link = await control.connect(signal);
				const changed = difference(this.#info!, link.info);
				if (changed) {
					await link.engine.close();
					this.#die(`it came back with another ${changed}; start the worker again`);
					return;
				}
				if (this.#state.status !== "restarting" || signal.aborted) return await link.engine.close();
				this.#state = { status: "serving", link };
				this.#logger.info("the engine serves again");
				return;
			} catch (error) {
				this.#logger.debug("the engine does not answer yet", { error });
			}
			await pause(RECONNECT_MS, signal);
		}
	}

	/** Somebody else starts it again; we notice that it is gone and that it is back. */
	async #watchAttached(): Promise<void> {
		const { signal } = this.#closing;
		while (!signal.aborted && this.#state.status !== "dead") {
			await pause(RECONNECT_MS, signal);
			if (this.#state.status !== "serving") continue;
			const health = this.#state.link.engine.health();
			if (health.status !== "restarting") continue;
			this.#lose(health.reason);
			await this.#reconnect();
		}
	}

	async #untilReady(signal: AbortSignal): Promise<void> {
		const { control, startupDeadlineMs = 1_800_000 } = this.#options;
		const deadlineMs = this.#clock.monotonicMs() + startupDeadlineMs;
		for (;;) {
			try {
				return await control.probe(signal);
			} catch (error) {
				if (signal.aborted) throw new DynError("CANCELLED", "waiting for the engine was cancelled");
				if (this.#clock.monotonicMs() >= deadlineMs)
					throw new DynError(
						"UNAVAILABLE",
						`no engine was ready in ${startupDeadlineMs / 1000} s; start one there, or correct the endpoint: ${DynError.from(error).rawMessage}`,
						{ cause: error },
					);
			}
			await pause(RECONNECT_MS, signal);
		}
	}

	/** The death of an engine may reach its requests as their own failure: then they belong elsewhere. */
	async #explain(thrown: unknown): Promise<DynError> {
		const error = DynError.from(thrown);
		// Not by us: who cancels here aborts the signal, and gets no error. A CANCELLED cause would keep it from moving.
		if (error.code === "CANCELLED")
			return new DynError("DISCONNECTED", `the engine dropped the request: ${error.rawMessage}`);
		if (error.code !== "INTERNAL") return error;
		if (!GOING_DOWN.test(error.rawMessage) && (await this.#isWell())) return error;
		return new DynError("DISCONNECTED", `the engine went down: ${error.rawMessage}`, { cause: error });
	}

	async #isWell(): Promise<boolean> {
		if (this.#state.status !== "serving") return false;
		const soon = linkSignals(this.#closing.signal, AbortSignal.timeout(WELL_MS));
		try {
			await this.#options.control.probe(soon.signal);
			return true;
		} catch {
			return false;
		} finally {
			soon.unlink();
		}
	}
}

/** What makes two lives of an engine different engines; null when nothing does. */
function difference(before: EngineInfo, after: EngineInfo): string | null {
	const names = ["model", "contextLength", "vocabSize", "kvBlockSize", "dpSize"] as const;
	const changed = names.find((name) => before[name] !== after[name]);
	if (changed) return `${changed} (${before[changed]} before, ${after[changed]} now)`;
	const lost = before.capabilities.features.find((name) => !after.capabilities.features.includes(name));
	return lost ? `set of features (${lost} is gone)` : null;
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
	delay(ms, undefined, { signal, ref: false }).catch(() => {});
