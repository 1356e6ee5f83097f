// SPDX-License-Identifier: Apache-2.0
import type { Spread } from "./statistics.js";

/** A table of cells without bars in them. */
export function markdownTable(header: readonly string[], lines: readonly (readonly string[])[]): string {
	return [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** "448 (419..449)" */
export function spreadText({ median, min, max }: Spread): string {
	return `${Math.round(median)} (${Math.round(min)}..${Math.round(max)})`;
}

export function threadsText(count: string): string {
	return count === "1" ? "1 thread" : `${count} threads`;
}
