// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";

/** While etcd is away, how often the log says so, ms. */
const REPEAT_MS = 60_000;

/** Whether etcd can be reached, from those that talk to it, and one voice in the log for all of them. */
export class Contact {
	readonly #logger: Logger;
	readonly #lost = new Set<unknown>();
	#lostMs = 0;
	#warnedMs = 0;

	/** @param logger says which etcd it is about */
	constructor(logger: Logger) {
		this.#logger = logger;
	}

	get connected(): boolean {
		return this.#lost.size === 0;
	}

	/** `talker` has no connection. It tries again by itself. */
	lost(talker: unknown, error: unknown): void {
		const now = performance.now();
		const isNews = this.connected;
		this.#lost.add(talker);
		if (isNews) this.#lostMs = now;
		else if (now - this.#warnedMs < REPEAT_MS) return;
		this.#warnedMs = now;
		this.#logger.warn("etcd cannot be reached: what is known stays, trying again", { error });
	}

	reached(talker: unknown): void {
		if (!this.#lost.delete(talker) || !this.connected) return;
		this.#logger.info("etcd is reached again", { awayMs: Math.round(performance.now() - this.#lostMs) });
	}

	/** `talker` has ended. */
	left(talker: unknown): void {
		this.#lost.delete(talker);
	}
}
