// SPDX-License-Identifier: Apache-2.0
import {
	createLogger,
	DynError,
	formatJsonLine,
	formatPrettyLine,
	type Logger,
	parseLogFilter,
} from "@dyn/common";

/** Colour only for people: a terminal, and NO_COLOR not set. */
export function usesColour(stream: { readonly isTTY?: boolean | undefined }): boolean {
	return stream.isTTY === true && !process.env["NO_COLOR"];
}

/** Log lines go to standard error, so that standard output stays for results. When nobody reads them (EPIPE) they are lost. */
export function terminalLogger(values: Readonly<Record<string, unknown>>): Logger {
	for (const stream of [process.stdout, process.stderr])
		if (stream.listenerCount("error") === 0) stream.on("error", () => {}); // without a listener it ends the process
	const wantsPretty = values["logJsonl"] !== true && process.stderr.isTTY;
	const format =
		(values["logFormat"] ?? (wantsPretty ? "pretty" : "json")) === "json" ? formatJsonLine : formatPrettyLine;
	const filter = parseLogFilter((values["logLevel"] as string | undefined) ?? "info");
	return createLogger(filter, (record) => process.stderr.write(`${format(record)}\n`));
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
