// SPDX-License-Identifier: Apache-2.0
import type { CompletionEnd } from "../endurance/completion-stream.js";
import { quantile, type Spread, spread } from "../statistics.js";

/** A closed loop of clients, from the first request to the end of the last. */
export interface LoadRun {
	readonly ends: readonly CompletionEnd[];
	readonly ms: number;
	/** Share of the CPU that neither the server nor the clients used, 0..1. */
	readonly foreign: number;
}

/** Milliseconds. */
export interface Times {
	readonly p50: number;
	readonly p99: number;
}

export interface LoadFigures {
	readonly requests: number;
	readonly errors: number;
	/** Tokens of answers per second, of each run. */
	readonly outputTokensPerSecond: Spread;
	/** From the request to the first text, of all runs together. */
	readonly timeToFirstToken: Times;
	/** From one text to the next; with an event per token, a token's time. */
	readonly interTokenTime: Times;
	/** Largest of all runs. */
	readonly foreign: number;
}

/** Of answers without an error; those with one are only counted. @throws RangeError when there is no other */
export function loadFigures(runs: readonly LoadRun[]): LoadFigures {
	const ends = runs.flatMap((run) => run.ends);
	const good = ends.filter(({ error }) => error === null);
	const gaps = good.flatMap(({ textsMs }) => textsMs.slice(1).map((at, index) => at - textsMs[index]!));
	return {
		requests: ends.length,
		errors: ends.length - good.length,
		outputTokensPerSecond: spread(runs.map(tokensPerSecond)),
		timeToFirstToken: times(good.map(({ beganMs, textsMs }) => textsMs[0]! - beganMs)),
		interTokenTime: times(gaps),
		foreign: Math.max(...runs.map(({ foreign }) => foreign)),
	};
}

function tokensPerSecond({ ends, ms }: LoadRun): number {
	const tokens = ends.reduce((sum, end) => sum + (end.error === null ? end.tokens : 0), 0);
	return (tokens / ms) * 1000;
}

function times(values: readonly number[]): Times {
	return { p50: quantile(values, 0.5), p99: quantile(values, 0.99) };
}
