// SPDX-License-Identifier: Apache-2.0
import { type Clock, DynError, type Logger, linkSignals, pause } from "@dyn/common";
import type { EngineInfo } from "@dyn/engine";
import { isFinal } from "../../serve/engine-health.js";
import type { ServeEvent, TrtllmServe, TrtllmServeOptions } from "../../serve/trtllm-serve.js";
import type { EngineControl, EngineLink } from "./engine-control.js";

/** Pause between two looks at an engine that is not there, ms. */
const RECONNECT_MS = 250;
/** Time that an engine gets to say that it is well after it failed a request, ms. */
const WELL_MS = 2000;

export type LaunchHooks = Pick<TrtllmServeOptions, "probe" | "onEvent" | "signal">;

export interface EngineLivesOptions {
	readonly control: EngineControl;
	/** Starts and supervises the engine. Default: it runs already and somebody else looks after it. */
	readonly launch?: ((hooks: LaunchHooks) => Promise<TrtllmServe>) | undefined;
	/** How long `start` waits for an engine that runs already, ms. Default 30 minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** How long the engine has been stuck, ms; null when it is not. */
	readonly stalledMs: () => number | null;
	/** Called when a life is over: so are its requests. */
	readonly onLost: (reason: string) => void;
	readonly signal?: AbortSignal | undefined;
	readonly clock: Clock;
	readonly logger: Logger;
}

export type LifeState =
	| { readonly status: "serving"; readonly link: EngineLink }
	| { readonly status: "restarting"; readonly reason: string }
	| { readonly status: "dead"; readonly reason: string };

/** An engine in another process, which may end and come back. */
export class EngineLives {
	readonly #options: EngineLivesOptions;
	readonly #closing = new AbortController();
	#state: LifeState = { status: "restarting", reason: "the engine has not started" };
	#serve: TrtllmServe | null = null;
	#info: EngineInfo | null = null;
	/** Why this life has to end; null when it need not. */
	#stuck: string | null = null;

	constructor(options: EngineLivesOptions) {
		this.#options = options;
	}

	get state(): LifeState {
		return this.#state;
	}

	/** What it is; null before it has started. */
	get info(): EngineInfo | null {
		return this.#info;
	}

	/** Aborts when nobody wants it any more. */
	get signal(): AbortSignal {
		return this.#closing.signal;
	}

	/** @throws DynError of the launch, or UNAVAILABLE when no engine answers in time */
	async start(): Promise<EngineInfo> {
		const { launch, control, signal } = this.#options;
		const either = linkSignals(...(signal ? [signal] : []), this.signal);
		try {
			if (launch) await this.#launch(launch, either.signal);
			else await this.#untilReady(either.signal);
			const link = await control.connect(either.signal);
			this.#info = link.info;
			this.#state = { status: "serving", link };
			if (!launch) void this.#watchAttached();
			return link.info;
		} finally {
			either.unlink();
		}
	}

	async isWell(): Promise<boolean> {
		if (this.#state.status !== "serving") return false;
		const soon = linkSignals(this.signal, AbortSignal.timeout(WELL_MS));
		try {
			await this.#options.control.probe(soon.signal);
			return true;
		} catch {
			return false;
		} finally {
			soon.unlink();
		}
	}

	/** Ends the connection, so that what runs is cancelled; `finished` then gets its time before the process ends. */
	async close(finished: () => Promise<unknown>): Promise<void> {
		this.#closing.abort();
		const state = this.#state;
		this.#state = { status: "dead", reason: "the engine is closed" };
		if (state.status === "serving") await state.link.engine.close();
		await finished();
		await this.#serve?.close();
		this.#options.control.close();
	}

	async #launch(launch: NonNullable<EngineLivesOptions["launch"]>, signal: AbortSignal): Promise<void> {
		const serve = await launch({
			probe: (probeSignal) => this.#probe(probeSignal),
			onEvent: (event) => this.#onEvent(event),
			signal,
		});
		this.#serve = serve;
		void serve.closed.then(() => {
			if (serve.failure) this.#die(serve.failure.rawMessage);
		});
	}

	/**
	 * What the supervisor asks. An engine that hangs says that it is well, so the supervisor hears of it here, until it has
	 * ended it; its requests need not wait for that.
	 */
	async #probe(signal: AbortSignal): Promise<void> {
		const sinceMs = this.#options.stalledMs();
		if (sinceMs !== null) this.#stuck = `it has work to do and gave no token for ${Math.round(sinceMs)} ms`;
		if (this.#stuck !== null) {
			this.#lose(this.#stuck);
			throw new DynError("UNAVAILABLE", `the engine is stuck: ${this.#stuck}`);
		}
		await this.#options.control.probe(signal);
	}

	#onEvent(event: ServeEvent): void {
		this.#stuck = null;
		if (event.type === "exited")
			this.#lose(`its process ended (${event.signal ?? `exit code ${event.exitCode}`})`);
		else void this.#reconnect();
	}

	#lose(reason: string): void {
		if (this.signal.aborted || this.#state.status === "dead") return;
		const state = this.#state;
		this.#state = { status: "restarting", reason };
		this.#options.onLost(reason);
		if (state.status !== "serving") return;
		state.link.engine.close().catch((error) => {
			this.#options.logger.warn("could not close the lost engine's connection", { error });
		});
	}

	#die(reason: string): void {
		this.#lose(reason);
		if (!this.signal.aborted) this.#state = { status: "dead", reason };
	}

	/** Until the engine answers again. What comes back as something else must not serve under the old name. */
	async #reconnect(): Promise<void> {
		const { control, logger } = this.#options;
		const { signal } = this;
		const info = this.#info;
		// While it starts, whoever starts it connects.
		if (!info) return;
		while (this.#state.status === "restarting" && !signal.aborted) {
			try {
				await control.probe(signal);
				const link = await control.connect(signal);
				const changed = difference(info, link.info);
				if (changed) this.#die(`it came back with another ${changed}; start the worker again`);
				// It may have ended, or been closed, in the meantime.
				if (this.#state.status !== "restarting" || signal.aborted) {
					await link.engine.close();
					return;
				}
				this.#state = { status: "serving", link };
				logger.info("the engine serves again");
				return;
			} catch (error) {
				logger.debug("the engine does not answer yet", { error });
			}
			await pause(RECONNECT_MS, signal);
		}
	}

	/** Somebody else starts it again; we notice that it is gone and that it is back. */
	async #watchAttached(): Promise<void> {
		while (!this.signal.aborted && this.#state.status !== "dead") {
			await pause(RECONNECT_MS, this.signal);
			if (this.#state.status !== "serving") continue;
			const health = this.#state.link.engine.health();
			if (health.status !== "restarting") continue;
			this.#lose(health.reason);
			await this.#reconnect();
		}
	}

	async #untilReady(signal: AbortSignal): Promise<void> {
		const { control, clock, startupDeadlineMs = 1_800_000 } = this.#options;
		const deadlineMs = clock.monotonicMs() + startupDeadlineMs;
		for (;;) {
			try {
				await control.probe(signal);
				return;
			} catch (error) {
				if (signal.aborted) throw new DynError("CANCELLED", "waiting for the engine was cancelled");
				if (isFinal(error)) throw error;
				if (clock.monotonicMs() >= deadlineMs)
					throw new DynError(
						"UNAVAILABLE",
						`no engine was ready in ${startupDeadlineMs / 1000} s; start one there, or correct the endpoint: ${DynError.from(error).rawMessage}`,
						{ cause: error },
					);
			}
			await pause(RECONNECT_MS, signal);
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
