// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createLogger, formatJsonLine, formatPrettyLine, type LogRecord } from "./logger.js";

describe("createLogger", () => {
	it("drops records below its level and merges child fields", () => {
		const records: LogRecord[] = [];
		const logger = createLogger("info", (record) => records.push(record)).child({ request: "r1" });
		logger.debug("hidden");
		logger.warn("seen", { port: 1 });
		expect(records).toMatchObject([{ level: "warn", message: "seen", fields: { request: "r1", port: 1 } }]);
	});
});

describe("formats", () => {
	const record: LogRecord = {
		timeMs: 0,
		level: "error",
		message: "step failed",
		fields: { id: 5n, error: Object.assign(new Error("bad"), { code: "X" }) },
	};

	it("writes one JSON line with errors and bigints spelled out", () => {
		const line = JSON.parse(formatJsonLine(record));
		expect(line).toMatchObject({
			time: "1970-01-01T00:00:00.000Z",
			level: "error",
			message: "step failed",
			id: "5",
		});
		expect(line.error).toMatchObject({ name: "Error", code: "X", message: "bad" });
	});

	it("writes a readable line", () => {
		expect(formatPrettyLine({ ...record, fields: { port: 80, host: "a" } })).toBe(
			"00:00:00.000 error step failed port=80 host=a",
		);
	});
});
