// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EngineHealth, EngineInfo, EngineLoad } from "@dyn/engine";
import type { OpenEngineClient } from "../client/openengine-client.js";
import * as m from "../generated/messages.js";

export interface StatusPollerOptions {
	readonly client: OpenEngineClient;
	readonly info: EngineInfo;
	readonly intervalMs: number;
	/** Requests that this process has at the engine: all that is known where the engine does not report. */
	readonly ownRequests: () => number;
}

/** Asks an engine again and again how it is and how much it has to do; answers from what it said last. */
export class StatusPoller {
	readonly #options: StatusPollerOptions;
	readonly #stop = new AbortController();
	#load: m.LoadInfo | null = null;
	#health: EngineHealth = { status: "healthy" };
	/** Since when it reports to be degraded (`performance.now()`). */
	#degradedSince: number | null = null;
	#timer: NodeJS.Timeout | null = null;

	constructor(options: StatusPollerOptions) {
		this.#options = options;
	}

	get health(): EngineHealth {
		return this.#health;
	}

	load(): readonly EngineLoad[] {
		const { info, ownRequests } = this.#options;
		const load = this.#load;
		return Array.from({ length: info.dpSize }, (_, dpRank) => {
			const rank =
				load?.ranks.find(({ dataParallelRank }) => dataParallelRank === dpRank) ??
				(dpRank === 0 ? load : null);
			return {
				dpRank,
				runningSequences: rank?.runningRequests ?? (dpRank === 0 ? ownRequests() : 0),
				waitingSequences: rank?.queuedRequests ?? 0,
				activeKvBlocks: Number(rank?.usedKvBlocks ?? 0n),
				cachedKvBlocks: 0,
				totalKvBlocks: Number(rank?.totalKvBlocks ?? info.totalKvBlocks),
			};
		});
	}

	/** Asks once, and from then on every interval after the answer. Never rejects. */
	async run(): Promise<void> {
		await Promise.all([this.#askLoad(), this.#askHealth()]);
		if (this.#stop.signal.aborted) return;
		this.#timer = setTimeout(() => void this.run(), this.#options.intervalMs);
		this.#timer.unref();
	}

	close(): void {
		this.#stop.abort();
		if (this.#timer) clearTimeout(this.#timer);
	}

	async #askLoad(): Promise<void> {
		try {
			this.#load = await this.#options.client.getLoad(
				{ includePerRank: true },
				{ signal: this.#stop.signal },
			);
		} catch {
			// Unsupported, or away for now; the health says which. Old numbers would be worse than none.
			this.#load = null;
		}
	}

	async #askHealth(): Promise<void> {
		try {
			this.#health = this.#judge(await this.#options.client.health({}, { signal: this.#stop.signal }));
		} catch (error) {
			if (DynError.is(error, "UNIMPLEMENTED")) this.#health = { status: "healthy" };
			// Another process: whoever looks after it starts it again, and the connection comes back by itself.
			else this.#health = { status: "restarting", reason: DynError.from(error).message };
		}
	}

	#judge({ state, checks }: m.HealthResponse): EngineHealth {
		if (state !== m.HealthState.DEGRADED) this.#degradedSince = null;
		if (state === m.HealthState.DEGRADED) {
			this.#degradedSince ??= performance.now();
			return { status: "stalled", sinceMs: performance.now() - this.#degradedSince };
		}
		if (state !== m.HealthState.STARTING && state !== m.HealthState.NOT_READY) return { status: "healthy" };
		const reasons = checks
			.filter((each) => each.state === state)
			.map(({ name, message }) => `${name} ${message}`.trim());
		const word = state === m.HealthState.STARTING ? "is starting" : "is not ready";
		return { status: "restarting", reason: `the engine ${word}: ${reasons.join(", ") || "no reason given"}` };
	}
}
