// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger, linkSignals, pause, silentLogger } from "@dyn/common";
import { type ConfigFile, writeConfigFile } from "./config-file.js";
import { type EngineProbe, startCancelled, untilReady, untilSick } from "./engine-health.js";
import { describeExit, type EngineExit, EngineProcess, exitError } from "./engine-process.js";
import { type MonitorOptions, monitorOptions } from "./monitor-options.js";
import type { ServeCommand } from "./serve-arguments.js";
import type { Environment } from "./serve-options.js";

/** An engine that has served this long has earned its restarts back, ms. */
const FORGIVEN_AFTER_MS = 600_000;
const BACK_OFF_MS = { first: 1000, most: 60_000 };

export type ServeEvent =
	| ({ readonly type: "exited"; readonly pid: number } & EngineExit)
	| { readonly type: "restarted"; readonly pid: number; readonly restarts: number };

export interface TrtllmServeOptions {
	readonly serve: ServeCommand;
	/** Environment of the engine, below the variables of `serve`. */
	readonly environment: Environment;
	readonly probe: EngineProbe;
	/** Interpreter to start the engine through, as `probeEngine` finds it. With it, the engine dies with this process. */
	readonly python?: string | undefined;
	/** Time that a start may take, ms. Default 1 800 000: large models load for many minutes. */
	readonly startupDeadlineMs?: number | undefined;
	/** Time that the engine gets after SIGTERM, ms. Default 30 000. */
	readonly graceMs?: number | undefined;
	/** Restarts in a row, without ten minutes of service in between, after which it stays down. Default 5. */
	readonly maxRestarts?: number | undefined;
	/** Wait before the n-th restart in a row, ms. Default: 1 s, doubled up to a minute, with jitter. */
	readonly restartDelayMs?: ((restarts: number) => number) | undefined;
	/** Default: by the environment's DYN_TRTLLM_HEALTH_* variables. */
	readonly monitor?: MonitorOptions | undefined;
	/** Ends a start that is under way. */
	readonly signal?: AbortSignal | undefined;
	/** Called at once. What it throws is logged. */
	readonly onEvent?: ((event: ServeEvent) => void) | undefined;
	readonly logger?: Logger | undefined;
}

/** A running trtllm-serve that is restarted when it ends. */
export interface TrtllmServe extends AsyncDisposable {
	/** Of the present life. */
	readonly pid: number;
	/** Resolves when it is closed or has been given up. */
	readonly closed: Promise<void>;
	/** Why it was given up; null while it is not. */
	readonly failure: DynError | null;
	/** SIGTERM, SIGKILL after the grace period. Idempotent. */
	close(): Promise<void>;
}

/**
 * Starts an engine and waits until it is ready. A first start that fails is not tried again: it would fail again.
 * @throws DynError UNAVAILABLE when it ends before it is ready, with its last words; DEADLINE_EXCEEDED when it takes too long;
 * NOT_FOUND when the program does not exist; CANCELLED by `signal`
 */
export async function createTrtllmServe(options: TrtllmServeOptions): Promise<TrtllmServe> {
	const serve = new Supervisor(options);
	try {
		await serve.start();
	} catch (error) {
		await serve.close();
		throw error;
	}
	return serve;
}

class Supervisor implements TrtllmServe {
	readonly closed: Promise<void>;
	failure: DynError | null = null;
	readonly #options: TrtllmServeOptions;
	readonly #logger: Logger;
	readonly #monitor: MonitorOptions;
	readonly #closing = new AbortController();
	readonly #unlink: () => void;
	#resolveClosed!: () => void;
	#config: ConfigFile | null = null;
	#engine: EngineProcess | null = null;
	#running: Promise<void> = Promise.resolve();

	constructor(options: TrtllmServeOptions) {
		this.#options = options;
		this.#logger = options.logger ?? silentLogger;
		this.#monitor = options.monitor ?? monitorOptions(options.environment);
		this.closed = new Promise((resolve) => {
			this.#resolveClosed = resolve;
		});
		const abort = () => this.#closing.abort();
		options.signal?.addEventListener("abort", abort, { once: true });
		this.#unlink = () => options.signal?.removeEventListener("abort", abort);
		if (options.signal?.aborted) abort();
	}

	get pid(): number {
		return this.#engine?.pid ?? 0;
	}

	async start(): Promise<void> {
		const { serve } = this.#options;
		for (const warning of serve.warnings) this.#logger.warn("engine argument changed", { warning });
		if (serve.yaml !== null) this.#config = await writeConfigFile(serve.yaml);
		await this.#launch();
		this.#unlink();
		this.#running = this.#keepRunning();
	}

	async close(): Promise<void> {
		this.#closing.abort();
		this.#unlink();
		await this.#engine?.stop(this.#options.graceMs ?? 30_000);
		await this.#running;
		await this.#config?.remove();
		this.#resolveClosed();
	}

	[Symbol.asyncDispose](): Promise<void> {
		return this.close();
	}

	/** A new life, up to its readiness. */
	async #launch(): Promise<void> {
		const { serve, environment, python } = this.#options;
		if (this.#closing.signal.aborted) throw startCancelled();
		const engine = new EngineProcess({
			command: serve.command,
			argv: this.#config ? [...serve.argv, serve.configFlag, this.#config.path] : serve.argv,
			environment: { ...environment, ...serve.env },
			python,
			logger: this.#logger,
		});
		this.#engine = engine;
		const settled = new AbortController();
		const stop = linkSignals(settled.signal, this.#closing.signal);
		try {
			await Promise.race([
				untilReady(this.#options.probe, {
					deadlineMs: this.#options.startupDeadlineMs ?? 1_800_000,
					logger: this.#logger,
					signal: stop.signal,
				}),
				engine.exited.then((exit) => {
					throw this.#closing.signal.aborted ? startCancelled() : exitError(serve.command, exit);
				}),
			]);
		} catch (error) {
			await engine.stop(this.#options.graceMs ?? 30_000);
			throw error;
		} finally {
			settled.abort();
			stop.unlink();
		}
		this.#logger.info("the engine is ready", { pid: engine.pid });
	}

	async #keepRunning(): Promise<void> {
		let restarts = 0;
		let readyMs: number | null = performance.now();
		let why: unknown = null;
		for (;;) {
			if (readyMs !== null) {
				const engine = this.#engine!;
				const exit = await this.#untilExit(engine);
				if (this.#closing.signal.aborted) return;
				this.#logger.error("the engine has ended", { pid: engine.pid, how: describeExit(exit) });
				this.#emit({ type: "exited", pid: engine.pid, ...exit });
				if (performance.now() - readyMs >= FORGIVEN_AFTER_MS) restarts = 0;
				why = exitError(this.#options.serve.command, exit);
			}
			if (restarts >= (this.#options.maxRestarts ?? 5)) return this.#giveUp(restarts, why);
			const waitMs = (this.#options.restartDelayMs ?? restartDelayMs)(restarts++);
			this.#logger.info("restarting the engine", { waitMs: Math.round(waitMs), restarts });
			await pause(waitMs, this.#closing.signal);
			readyMs = null;
			try {
				await this.#launch();
				readyMs = performance.now();
				this.#emit({ type: "restarted", pid: this.pid, restarts });
			} catch (error) {
				if (this.#closing.signal.aborted) return;
				this.#logger.error("the engine could not be restarted", { error });
				why = error;
			}
		}
	}

	/** Until the engine ends, by itself or because it was sick. */
	async #untilExit(engine: EngineProcess): Promise<EngineExit> {
		const ended = new AbortController();
		const stop = linkSignals(ended.signal, this.#closing.signal);
		const watching = this.#watch(engine, stop.signal);
		const exit = await engine.exited;
		ended.abort();
		await watching;
		stop.unlink();
		return exit;
	}

	async #watch(engine: EngineProcess, signal: AbortSignal): Promise<void> {
		const { intervalMs, shutdownTimeoutMs } = this.#monitor;
		if (!(await untilSick(this.#options.probe, intervalMs, signal))) return;
		this.#logger.error("the engine is sick: ending it", { pid: engine.pid });
		await engine.stop(shutdownTimeoutMs);
	}

	#emit(event: ServeEvent): void {
		try {
			this.#options.onEvent?.(event);
		} catch (error) {
			this.#logger.error("a listener to the engine's life failed", { event: event.type, error });
		}
	}

	async #giveUp(restarts: number, why: unknown): Promise<void> {
		const last = DynError.from(why);
		this.failure = new DynError(
			"UNAVAILABLE",
			`the engine is given up after ${restarts} restarts in a row: ${last.rawMessage}`,
			{ cause: why, retryable: false },
		);
		this.#logger.error("the engine is given up", { error: this.failure });
		await this.#config?.remove();
		this.#resolveClosed();
	}
}

/** Half to all of a second that doubles up to a minute: many workers of a host do not come back together. */
function restartDelayMs(restarts: number): number {
	return Math.min(BACK_OFF_MS.most, BACK_OFF_MS.first * 2 ** restarts) * (0.5 + Math.random() / 2);
}
