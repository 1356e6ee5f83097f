// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { DynError } from "@dyn/common";

/** `key = "value"`, the key bare or quoted, with a comment behind it perhaps. */
const ENTRY = /^(?:"([^"]+)"|([\w-]+))\s*=\s*"([^"]*)"\s*(?:#.*)?$/;

/**
 * Dynamo's file of log levels (DYN_LOGGING_CONFIG_PATH): TOML with `log_level` and a table `log_filters` from target to
 * level.
 * @returns the same as a log filter: "error,target=info"
 * @throws DynError INVALID_ARGUMENT for a file that cannot be read, or that says anything else
 */
export function readLogConfig(path: string): string {
	const refuse = (what: string, cause?: unknown) =>
		new DynError(
			"INVALID_ARGUMENT",
			`${path} ${what}; it takes log_level = "info" and, below [log_filters], lines like "dyn::runtime" = "debug"`,
			cause === undefined ? {} : { cause },
		);
	let text: string;
	try {
		text = readFileSync(path, "utf8");
	} catch (error) {
		throw refuse(`cannot be read (${(error as Error).message})`, error);
	}
	const directives: string[] = [];
	let inFilters = false;
	for (const [index, line] of text.split(/\r?\n/).entries()) {
		const trimmed = line.trim();
		if (trimmed === "" || trimmed.startsWith("#")) continue;
		if (/^\[\s*log_filters\s*\]\s*(?:#.*)?$/.test(trimmed)) {
			inFilters = true;
			continue;
		}
		const [, quoted, bare, level] = ENTRY.exec(trimmed) ?? [];
		const key = quoted ?? bare;
		if (key === undefined || level === undefined || !(inFilters || key === "log_level"))
			throw refuse(`has a line ${index + 1} that is not understood: ${JSON.stringify(trimmed.slice(0, 80))}`);
		directives.push(inFilters ? `${key}=${level}` : level);
	}
	return directives.join(",");
}
