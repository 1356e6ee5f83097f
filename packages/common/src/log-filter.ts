// SPDX-License-Identifier: Apache-2.0
import { DynError } from "./dyn-error.js";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "off"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The least severe lines to show: of everything, and of what has a target that begins with one of these. */
export interface LogFilter {
	readonly level: LogLevel;
	/** Longest targets first. */
	readonly targets: readonly { readonly target: string; readonly level: LogLevel }[];
}

/** Dynamo's crates, by what does their work here. */
const CRATES: readonly (readonly [RegExp, string])[] = [
	[/^dynamo_runtime(?=::|$)/, "dyn::runtime"],
	[/^dynamo_llm(?=::|$)/, "dyn::frontend"],
];

/**
 * Reads what Dynamo takes in DYN_LOG: a level, and `target=level` for parts, separated by commas, in any order; the level
 * is "info" when there is none. What is said twice holds as it was said last. Targets of Dynamo's own crates are taken for the part that does the same here; targets
 * that nothing here has are no error. Levels in upper case are levels too.
 * @throws DynError INVALID_ARGUMENT naming the level that is none
 */
export function parseLogFilter(text: string): LogFilter {
	let level: LogLevel = "info";
	const levels = new Map<string, LogLevel>();
	for (const directive of text.split(",").map((part) => part.trim())) {
		if (directive === "") continue;
		const equals = directive.lastIndexOf("=");
		if (equals === -1) level = levelOf(directive);
		else levels.set(ours(directive.slice(0, equals)), levelOf(directive.slice(equals + 1)));
	}
	const targets = Array.from(levels, ([target, level]) => ({ target, level }));
	return { level, targets: targets.sort((a, b) => b.target.length - a.target.length) };
}

/** The least severe level to show of `target`. */
export function levelFor({ level, targets }: LogFilter, target: string): LogLevel {
	const found = targets.find((each) => target === each.target || target.startsWith(`${each.target}::`));
	return found?.level ?? level;
}

function levelOf(text: string): LogLevel {
	const level = LOG_LEVELS.find((each) => each === text.toLowerCase());
	if (level) return level;
	throw new DynError(
		"INVALID_ARGUMENT",
		`${JSON.stringify(text)} is no log level; write ${LOG_LEVELS.join(", ")} or target=level, separated by commas`,
	);
}

function ours(target: string): string {
	const crate = CRATES.find(([name]) => name.test(target));
	return crate ? target.replace(crate[0], crate[1]) : target;
}
