// SPDX-License-Identifier: Apache-2.0
import { parseOptions } from "@dyn/common";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
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
});
