// SPDX-License-Identifier: Apache-2.0
import { type LogFilter, type LogLevel, levelFor } from "./log-filter.js";

export type LogFields = Readonly<Record<string, unknown>>;

/** Structured logging. Messages are fixed texts; what varies goes into fields. No prompt or completion text, ever. */
export interface Logger {
	trace(message: string, fields?: LogFields): void;
	debug(message: string, fields?: LogFields): void;
	info(message: string, fields?: LogFields): void;
	warn(message: string, fields?: LogFields): void;
	error(message: string, fields?: LogFields): void;
	/**
	 * A logger that adds `fields` to every line. The field `target`, such as "dyn::runtime", names the part that speaks: a
	 * `LogFilter` tells them apart by it.
	 */
	child(fields: LogFields): Logger;
}

export interface LogRecord {
	readonly timeMs: number;
	readonly level: Exclude<LogLevel, "off">;
	readonly message: string;
	readonly fields: LogFields;
}

const SEVERITY: Record<LogLevel, number> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4, off: 5 };

/** A logger that hands every record at or above `level`, or what a filter says of its target, to `write`. */
export function createLogger(
	level: LogLevel | LogFilter,
	write: (record: LogRecord) => void,
	fields: LogFields = {},
): Logger {
	const { target } = fields;
	const least = typeof level === "string" ? level : levelFor(level, typeof target === "string" ? target : "");
	const at = (recordLevel: LogRecord["level"]) => (message: string, extra?: LogFields) => {
		if (SEVERITY[recordLevel] < SEVERITY[least]) return;
		write({
			timeMs: Date.now(),
			level: recordLevel,
			message,
			fields: extra ? { ...fields, ...extra } : fields,
		});
	};
	return {
		trace: at("trace"),
		debug: at("debug"),
		info: at("info"),
		warn: at("warn"),
		error: at("error"),
		child: (more) => createLogger(level, write, { ...fields, ...more }),
	};
}

export const silentLogger: Logger = createLogger("off", () => {});

/** A time as ISO 8601 says it, to the millisecond. */
export const utcTime = (timeMs: number): string => new Date(timeMs).toISOString();

/** The same in the time zone of this process, which it names: "2026-01-31T13:00:00.000+01:00". */
export function localTime(timeMs: number): string {
	const minutes = -new Date(timeMs).getTimezoneOffset();
	const two = (value: number) => String(Math.floor(Math.abs(value))).padStart(2, "0");
	const zone = `${minutes < 0 ? "-" : "+"}${two(minutes / 60)}:${two(minutes % 60)}`;
	return utcTime(timeMs + minutes * 60_000).replace("Z", zone);
}

/** One JSON object per record: `time` (ISO 8601), `level`, `message`, then the fields; errors become `{name, code, message, stack}`. */
export function formatJsonLine(record: LogRecord, time: (timeMs: number) => string = utcTime): string {
	return JSON.stringify(
		{
			time: time(record.timeMs),
			level: record.level,
			message: record.message,
			...record.fields,
		},
		errorReplacer,
	);
}

/** `12:00:00.000 info  message key=value`, without colour and without the target. */
export function formatPrettyLine(record: LogRecord, time: (timeMs: number) => string = utcTime): string {
	const { target: _, ...rest } = record.fields;
	const fields = Object.entries(rest).map(
		([key, value]) => ` ${key}=${typeof value === "string" ? value : JSON.stringify(value, errorReplacer)}`,
	);
	return `${time(record.timeMs).slice(11, 23)} ${record.level.padEnd(5)} ${record.message}${fields.join("")}`;
}

function errorReplacer(_key: string, value: unknown): unknown {
	if (typeof value === "bigint") return value.toString();
	if (!(value instanceof Error)) return value;
	const code = (value as { code?: unknown }).code;
	return {
		name: value.name,
		...(code === undefined ? {} : { code }),
		message: value.message,
		stack: value.stack,
	};
}
