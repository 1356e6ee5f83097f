// SPDX-License-Identifier: Apache-2.0
import { markdownTable, spreadText } from "../markdown.js";
import type { Ceiling, SpeedQuestion } from "./ceiling.js";
import type { CellResult } from "./interleave.js";

export interface EngineResult extends CellResult {
	/** None where the instruction set is not one that is measured. */
	readonly ceiling?: Ceiling;
	/** Of the ceiling, the median, 0..1. */
	readonly ofCeiling?: number;
}

/** The results as a Markdown table as docs/benchmarks.md has it: a line per question, `title` above the questions. */
export function engineTable(title: string, results: readonly EngineResult[]): string {
	const questions = [...new Set(results.map(({ question }) => question))];
	const engines = [...new Set(results.map(({ engine }) => engine))];
	const busy = results.find((result) => result.busy)?.busy?.processes;
	const header = [
		title,
		...engines,
		"ratio",
		"ceiling",
		"of it",
		...(busy === undefined ? [] : [`kept beside ${busy} busy`]),
	];
	const lines = questions.map((question) => {
		const cells = results.filter((result) => result.question === question);
		const { ceiling } = cells[0]!;
		const each = (share: (result: EngineResult) => number | undefined) =>
			cells.map((cell) => percent(share(cell))).join(", ");
		return [
			describe(question),
			...cells.map(({ speed }) => spreadText(speed)),
			...cells.slice(1).map(({ ratio }) => `**${ratio.toFixed(1)}**`),
			ceiling ? `${Math.round(ceiling.tokensPerSecond)} (${ceiling.limit})` : "–",
			each(({ ofCeiling }) => ofCeiling),
			...(busy === undefined ? [] : [each((cell) => cell.busy?.kept)]),
		];
	});
	return markdownTable(header, lines);
}

function describe(question: SpeedQuestion): string {
	return question.op === "pp" ? `prefill ${question.n}` : `decode batch ${question.batch} @${question.ctx}`;
}

function percent(share: number | undefined): string {
	return share === undefined ? "–" : `${Math.round(share * 100)} %`;
}
