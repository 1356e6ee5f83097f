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
		env: ["DYN_LOG_FORMAT", "DYN_LOGGING_CONSOLE_FORMAT"],
		type: "string",
		value: "FORMAT",
		choices: ["pretty", "json", "readable", "jsonl"],
		help: "Log lines for people or for programs; the latter two are Dynamo's words (default: pretty on a terminal)",
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
	{
		name: "logLocalTime",
		flags: ["log-local-time"],
		env: ["DYN_LOG_USE_LOCAL_TZ"],
		type: "boolean",
		help: "Log lines with the time of this machine's zone (default: UTC)",
		group: "General",
	},
	{
		name: "logConfig",
		flags: ["log-config"],
		env: ["DYN_LOGGING_CONFIG_PATH"],
		type: "string",
		value: "FILE",
		help: "Levels of log lines where --log-level says none: TOML with log_level and [log_filters], as Dynamo takes it",
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
