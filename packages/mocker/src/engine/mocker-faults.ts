// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** What goes wrong in a simulated engine, when a test says so. Every rank sees the same. */
export class MockerFaults {
	#iteration = 0;
	#hangAt = Number.POSITIVE_INFINITY;
	#death: string | null = null;
	#slowMs = 0;
	#refusal: string | null = null;
	#dropAfter: number | null = null;
	readonly #hanging = new Set<() => void>();

	/** Steps that have begun since the start. */
	get iteration(): number {
		return this.#iteration;
	}

	/** Step `iteration`, counted from 1, and all after it do not end until `recover`. Default: the next one. */
	hang(iteration: number = this.#iteration + 1): void {
		this.#hangAt = iteration;
	}

	/** The next step fails, and with it the engine for good. */
	die(reason = "killed by a test"): void {
		this.#death = reason;
		this.#release();
	}

	/** Every step takes this much longer, ms; 0 ends it. */
	slow(ms: number): void {
		this.#slowMs = ms;
	}

	/** New requests are rejected as OVERLOADED until `recover`. */
	refuse(reason = "the engine is told to refuse requests"): void {
		this.#refusal = reason;
	}

	/** Streams end after this many items without saying why, as when a connection is lost without notice. */
	dropStreams(afterItems: number): void {
		this.#dropAfter = afterItems;
	}

	/** Everything but death is over. */
	recover(): void {
		this.#hangAt = Number.POSITIVE_INFINITY;
		this.#slowMs = 0;
		this.#refusal = null;
		this.#dropAfter = null;
		this.#release();
	}

	/** @internal Items after which a stream is dropped. */
	get dropAfter(): number | null {
		return this.#dropAfter;
	}

	/** @internal @throws DynError OVERLOADED */
	admit(): void {
		if (this.#refusal !== null) throw new DynError("OVERLOADED", this.#refusal);
	}

	/** @internal Called as a step begins. Resolves to what it takes longer, ms; rejects when the engine is to die. */
	async step(): Promise<number> {
		if (++this.#iteration >= this.#hangAt && this.#death === null)
			await new Promise<void>((resolve) => this.#hanging.add(resolve));
		if (this.#death !== null) throw new DynError("INTERNAL", this.#death);
		return this.#slowMs;
	}

	#release(): void {
		for (const resolve of this.#hanging) resolve();
		this.#hanging.clear();
	}
}
