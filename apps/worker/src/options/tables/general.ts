// SPDX-License-Identifier: Apache-2.0
import { DynError, LOG_LEVELS, type OptionSpec, parseLogFilter } from "@dyn/common";

/** Of every command. */
export const general: readonly OptionSpec[] = [
	{ name: "help", flags: ["help", "h"], type: "boolean", help: "Show this help", group: "General" },
	{ name: "version", flags: ["version", "V"], type: "boolean", help: "Show the version", group: "General" },
	{
		name: "logLevel",
		flags: ["log-level"],
		env: ["DYN_LOG"],
		type: "string",
		value: "LEVEL",
		check: logFilterProblem,
		default: "info",
		help: `Least severe log lines to show: ${LOG_LEVELS.join(", ")}; or by part, as in info,dyn::runtime=debug`,
		group: "General",
	},
	{
		name: "logFormat",
		flags: ["log-format"],
		env: ["DYN_LOG_FORMAT"],
		type: "string",
		value: "FORMAT",
		choices: ["pretty", "json"],
		help: "Log lines for people or for programs (default: pretty on a terminal)",
		group: "General",
	},
	{
		name: "logJsonl",
		flags: ["log-jsonl"],
		env: ["DYN_LOGGING_JSONL"],
		type: "boolean",
		help: "Dynamo's way to ask for log lines for programs",
		group: "General",
	},
];

function logFilterProblem(text: string): string | null {
	try {
		parseLogFilter(text);
		return null;
	} catch (error) {
		return `a log filter (${DynError.from(error).rawMessage})`;
	}
}
