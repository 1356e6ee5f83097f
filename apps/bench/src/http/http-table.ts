// SPDX-License-Identifier: Apache-2.0
import { markdownTable, spreadText } from "../markdown.js";
import type { LoadFigures, Times } from "./load-figures.js";

export interface HttpResult extends LoadFigures {
	readonly clients: number;
	readonly server: string;
	/** Output tokens per second over those of the first server, medians. */
	readonly ratio: number;
}

/** The results as a Markdown table as docs/benchmarks.md has it: a line per number of clients and server. */
export function httpTable(title: string, results: readonly HttpResult[]): string {
	const header = [
		title,
		"clients",
		"output tok/s",
		"ratio",
		"first token, ms, p50 (p99)",
		"token, ms, p50 (p99)",
		"errors",
	];
	const lines = results.map((result) => [
		result.server,
		String(result.clients),
		spreadText(result.outputTokensPerSecond),
		result.ratio.toFixed(2),
		timesText(result.timeToFirstToken),
		timesText(result.interTokenTime),
		`${result.errors} of ${result.requests}`,
	]);
	return markdownTable(header, lines);
}

function timesText({ p50, p99 }: Times): string {
	return `${p50.toFixed(1)} (${p99.toFixed(1)})`;
}
