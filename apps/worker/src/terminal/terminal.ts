// SPDX-License-Identifier: Apache-2.0
import {
	createLogger,
	DynError,
	formatJsonLine,
	formatPrettyLine,
	type Logger,
	localTime,
	parseLogFilter,
	utcTime,
} from "@dyn/common";
import { readLogConfig } from "./log-config.js";

/** Values of --log-format, ours and Dynamo's. */
const JSON_FORMATS: ReadonlySet<unknown> = new Set(["json", "jsonl"]);

/** Colour only for people: a terminal, and NO_COLOR not set. */
export function usesColour(stream: { readonly isTTY?: boolean | undefined }): boolean {
	return stream.isTTY === true && !process.env["NO_COLOR"];
}

/**
 * Log lines go to standard error, so that standard output stays for results. When nobody reads them (EPIPE) they are lost.
 * @param level where neither options nor the file of log levels say one
 * @throws DynError INVALID_ARGUMENT for a file of log levels that is none
 */
export function terminalLogger(values: Readonly<Record<string, unknown>>, level = "info"): Logger {
	for (const stream of [process.stdout, process.stderr])
		if (stream.listenerCount("error") === 0) stream.on("error", () => {}); // without a listener it ends the process
	const wantsPretty = values["logJsonl"] !== true && process.stderr.isTTY;
	const format = JSON_FORMATS.has(values["logFormat"] ?? (wantsPretty ? "pretty" : "json"))
		? formatJsonLine
		: formatPrettyLine;
	const time = values["logLocalTime"] === true ? localTime : utcTime;
	const file = values["logConfig"] as string | undefined;
	const said = [level, file === undefined ? "" : readLogConfig(file), values["logLevel"] ?? ""];
	return createLogger(parseLogFilter(said.join(",")), (record) =>
		process.stderr.write(`${format(record, time)}\n`),
	);
}

/** An error for the person at the terminal: no stack, no code. */
export function describeError(thrown: unknown): string {
	const error = DynError.from(thrown);
	const detail = error.code === "INTERNAL" && error.cause instanceof Error ? `\n${error.cause.stack}` : "";
	const red = usesColour(process.stderr)
		? (text: string) => `\u001b[31m${text}\u001b[0m`
		: (text: string) => text;
	return `${red("error")}: ${error.rawMessage}${detail}\n`;
}

/** Usage errors are the caller's, everything else is ours. */
export function exitCodeOf(thrown: unknown): number {
	return DynError.is(thrown, "INVALID_ARGUMENT") ? 2 : 1;
}
