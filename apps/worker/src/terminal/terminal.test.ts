// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseOptions } from "@dyn/common";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FRONTEND } from "../options/commands.js";
import { terminalLogger } from "./terminal.js";

const isTTY = Object.getOwnPropertyDescriptor(process.stderr, "isTTY");
const written: string[] = [];
beforeEach(() => {
	written.length = 0;
	vi.spyOn(process.stderr, "write").mockImplementation((text) => {
		written.push(String(text));
		return true;
	});
});
afterEach(() => {
	vi.restoreAllMocks();
	if (isTTY) Object.defineProperty(process.stderr, "isTTY", isTTY);
	else Reflect.deleteProperty(process.stderr, "isTTY");
});

/** Whether log lines are JSON. */
function logsJson(terminal: boolean, env: Record<string, string>): boolean {
	Object.defineProperty(process.stderr, "isTTY", { value: terminal, configurable: true });
	terminalLogger(parseOptions(FRONTEND.options, [], env).values).info("hello");
	return written.pop()!.startsWith("{");
}

it("logs for people on a terminal and for programs elsewhere, or as it is told", () => {
	expect(logsJson(true, {})).toBe(false);
	expect(logsJson(false, {})).toBe(true);
	expect(logsJson(true, { DYN_LOGGING_JSONL: "1" })).toBe(true);
	expect(logsJson(true, { DYN_LOGGING_JSONL: "0" })).toBe(false);
	expect(logsJson(true, { DYN_LOG_FORMAT: "json" })).toBe(true);
	expect(logsJson(false, { DYN_LOG_FORMAT: "pretty", DYN_LOGGING_JSONL: "1" })).toBe(false);
	expect(logsJson(true, { DYN_LOGGING_CONSOLE_FORMAT: "jsonl" })).toBe(true);
	expect(logsJson(false, { DYN_LOGGING_CONSOLE_FORMAT: "readable", DYN_LOGGING_JSONL: "1" })).toBe(false);
});

it("logs the time of UTC, or of the zone of this machine", () => {
	vi.stubEnv("TZ", "America/St_Johns");
	vi.setSystemTime(Date.UTC(2026, 0, 31, 12));
	const time = (env: Record<string, string>) => {
		terminalLogger(parseOptions(FRONTEND.options, [], { DYN_LOG_FORMAT: "json", ...env }).values).info(
			"hello",
		);
		return JSON.parse(written.pop()!).time;
	};
	expect(time({})).toBe("2026-01-31T12:00:00.000Z");
	expect(time({ DYN_LOG_USE_LOCAL_TZ: "1" })).toBe("2026-01-31T08:30:00.000-03:30");
	vi.useRealTimers();
	vi.unstubAllEnvs();
});

describe("a file of log levels", () => {
	let folder: string;
	beforeEach(() => {
		folder = mkdtempSync(join(tmpdir(), "log-config-"));
	});
	afterEach(() => rmSync(folder, { recursive: true }));

	/** What of an info line, by its target, and a warning is shown. */
	function shown(toml: string, env: Record<string, string> = {}, level?: string): string[] {
		const file = join(folder, "logging.toml");
		writeFileSync(file, toml);
		const { values } = parseOptions(FRONTEND.options, [], { DYN_LOGGING_CONFIG_PATH: file, ...env });
		const logger = terminalLogger(values, level);
		for (const target of ["dyn::runtime", "dyn::engine"]) logger.child({ target }).info(target);
		logger.warn("warning");
		return written.splice(0).map((line) => JSON.parse(line).message);
	}
	const TOML = '# Ours\nlog_level = "error"\n\n[log_filters]\n"dynamo_runtime" = "info" # theirs\n';

	it("holds where options say nothing else", () => {
		Object.defineProperty(process.stderr, "isTTY", { value: false, configurable: true });
		expect(shown(TOML)).toEqual(["dyn::runtime"]);
		expect(shown("", {}, "warn")).toEqual(["warning"]);
		expect(shown(TOML, {}, "warn")).toEqual(["dyn::runtime"]);
		expect(shown(TOML, { DYN_LOG: "info" })).toEqual(["dyn::runtime", "dyn::engine", "warning"]);
		expect(shown(TOML, { DYN_LOG: "dyn::engine=info,dyn::runtime=off" })).toEqual(["dyn::engine"]);
	});

	it("is refused when it says something else", () => {
		expect(() => shown("level = 3")).toThrow('line 1 that is not understood: "level = 3"');
		expect(() => shown('log_level = "loud"')).toThrow('"loud" is no log level');
		expect(() => terminalLogger({ logConfig: join(folder, "none") })).toThrow("cannot be read");
	});
});
