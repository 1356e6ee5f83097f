// SPDX-License-Identifier: Apache-2.0
import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { createLogger, type LogRecord } from "@dyn/common";
import { expect, it } from "vitest";
import { EngineLog, levelOf } from "./engine-log.js";

it.each([
	["[11/21/2026-10:00:00] [TRT-LLM] [I] Loading weights", "info"],
	["[11/21/2026-10:00:00] [TRT-LLM] [RANK 3] [E] out of memory", "error"],
	["[TensorRT-LLM][WARNING] no NVLink", "warn"],
	["[11/21/2026-10:00:00] [TRT-LLM] [V] detail", "debug"],
	["INFO:     Uvicorn running", "info"],
	["WARNING:root:careful", "warn"],
	["ERROR: no", "error"],
	["CRITICAL: worse", "error"],
	["Everything else", "info"],
	['  File "serve.py", line 3, in ERROR', "info"],
])("takes %j for %s", (line, level) => expect(levelOf(line)).toBe(level));

async function logged(...chunks: (string | Buffer)[]): Promise<{ log: EngineLog; lines: unknown[] }> {
	const records: LogRecord[] = [];
	const log = new EngineLog(createLogger("trace", (record) => records.push(record)));
	const stream = new PassThrough();
	log.follow(stream, "stderr");
	for (const chunk of chunks) stream.write(chunk);
	stream.end();
	await finished(stream);
	return { log, lines: records.map(({ fields }) => fields["line"]) };
}

it("puts lines together, whatever the chunks, and keeps a last line without an end", async () => {
	const snow = Buffer.from("☃\n");
	const { lines } = await logged("one\ntw", "o\n\n", snow.subarray(0, 2), snow.subarray(2), "last");
	expect(lines).toEqual(["one", "two", "☃", "last"]);
});

it("shows progress bars as a terminal would, without colours", async () => {
	const { lines } = await logged("\u001b[32m10%\r20%\r100%\u001b[0m\n", "a\r\n");
	expect(lines).toEqual(["100%", "a"]);
});

it("is bounded: long lines are cut, old ones forgotten", async () => {
	const { log, lines } = await logged("x".repeat(100_000), "y".repeat(100_000), "\n");
	expect(lines.map((line) => String(line).length)).toEqual([8192]);
	expect(log.lastErrors).toHaveLength(1);
	const many = await logged(...Array.from({ length: 50 }, (_, i) => `line ${i}\n`));
	expect(many.log.lastErrors).toEqual(Array.from({ length: 20 }, (_, i) => `line ${i + 30}`));
});
