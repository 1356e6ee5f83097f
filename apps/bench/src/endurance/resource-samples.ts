// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from "node:fs";
import type { Child } from "./child.js";
import { seconds } from "./session.js";
import { minima, type Sample, slope } from "./slope.js";

/** Runs in a served process: collects all garbage and gives its pages back, as DevTools does; `gc()` keeps the pages. */
const COLLECT_ON_SIGNAL = `
import { Session } from "node:inspector";
const session = new Session();
session.connect();
process.on("SIGUSR2", () => session.post("HeapProfiler.collectGarbage"));`;
/**
 * Arguments of a node that collects its garbage when it gets SIGUSR2. A heap that is used little grows for half an hour
 * before V8 collects it by itself: without this every slow leak hides in garbage, and garbage passes for a leak.
 */
export const COLLECTABLE: readonly string[] = [
	"--import",
	`data:text/javascript,${encodeURIComponent(COLLECT_ON_SIGNAL)}`,
];
/** For a collection, and for its pages to be given back. */
const SETTLE_SECONDS = 2;

/** What one quantity was after the warm-up. */
export interface Use {
	readonly min: number;
	readonly max: number;
	/** How much the fitted line rises from the end of the warm-up to the last sample. */
	readonly rise: number;
}

export interface ResourceUse {
	readonly name: string;
	/** Resident memory, MB (10^6 bytes). */
	readonly residentMb: Use;
	/** Of it, what is the process's own: pages of files (programs, weights) come and go as the kernel needs its cache. */
	readonly ownMb: Use;
	/** The same just after collections of garbage: what is held, and what the allocators keep. */
	readonly settledMb: Use;
	readonly openFiles: Use;
}

/** Memory and file descriptors of one process over time, as the kernel counts them. */
export class ResourceSamples {
	readonly #child: Child;
	readonly #resident: Sample[] = [];
	readonly #own: Sample[] = [];
	readonly #settled: Sample[] = [];
	readonly #files: Sample[] = [];

	constructor(child: Child) {
		this.#child = child;
	}

	/** The newest. */
	get ownMb(): number {
		return this.#own.at(-1)?.value ?? 0;
	}

	/** Takes one sample; none when the process is gone. */
	take(): void {
		const { pid } = this.#child;
		const ms = performance.now();
		try {
			const status = readFileSync(`/proc/${pid}/status`, "utf8");
			const megabytes = (field: string) =>
				(Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024) / 1e6;
			const own = megabytes("RssAnon") + megabytes("RssShmem");
			if (Number.isNaN(own)) return; // ended, and not yet collected
			this.#files.push({ ms, value: readdirSync(`/proc/${pid}/fd`).length });
			this.#resident.push({ ms, value: megabytes("VmRSS") });
			this.#own.push({ ms, value: own });
		} catch {
			// Its absence is reported by whoever started it.
		}
	}

	/** Has the process collect its garbage (see `COLLECTABLE`) and takes a sample when it has. */
	async settle(): Promise<void> {
		try {
			process.kill(this.#child.pid, "SIGUSR2");
		} catch {
			return; // it is gone
		}
		await seconds(SETTLE_SECONDS);
		const before = this.#own.length;
		this.take();
		const sample = this.#own[before];
		if (sample) this.#settled.push(sample);
	}

	/** @param fromMs end of the warm-up; the lines are fitted to the smallest sample of each window of `windowMs` */
	use(fromMs: number, windowMs: number): ResourceUse {
		const summarize = (all: readonly Sample[]): Use => {
			const samples = all.filter(({ ms }) => ms >= fromMs);
			const values = samples.map(({ value }) => value);
			const spanMs = samples.length === 0 ? 0 : samples.at(-1)!.ms - samples[0]!.ms;
			return {
				min: Math.round(Math.min(...values)),
				max: Math.round(Math.max(...values)),
				rise: Number((slope(minima(samples, windowMs)) * spanMs).toFixed(2)),
			};
		};
		return {
			name: this.#child.name,
			residentMb: summarize(this.#resident),
			ownMb: summarize(this.#own),
			settledMb: summarize(this.#settled),
			openFiles: summarize(this.#files),
		};
	}
}
