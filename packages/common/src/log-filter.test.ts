// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { levelFor, parseLogFilter } from "./log-filter.js";
import { createLogger, formatJsonLine, formatPrettyLine, type LogRecord } from "./logger.js";

it.each([
	["warn", { everything: "warn", "dyn::runtime": "warn" }],
	["", { everything: "info" }],
	["dyn::runtime=debug", { everything: "info", "dyn::runtime": "debug", "dyn::runtimes": "info" }],
	[
		"WARN, dyn=Error ,dyn::runtime=trace",
		{ everything: "warn", "dyn::engine": "error", "dyn::runtime": "trace" },
	],
	["dyn::runtime=trace,dyn=error", { "dyn::engine": "error", "dyn::runtime": "trace" }],
	[
		"info,dynamo_runtime::pipeline=debug,dynamo_llm=trace",
		{ "dyn::runtime": "info", "dyn::frontend": "trace" },
	],
	["warn,dyn=error,debug,dyn=trace", { everything: "debug", "dyn::engine": "trace" }],
	["dynamo_runtime=debug", { "dyn::runtime": "debug", everything: "info" }],
	["info,hyper=off,h2[span{a=1}]=trace", { everything: "info", "dyn::runtime": "info" }],
])("%j shows what it says", (text, levels) => {
	const filter = parseLogFilter(text);
	const found = Object.keys(levels).map((target) => [target, levelFor(filter, target)]);
	expect(Object.fromEntries(found)).toEqual(levels);
});

it.each(["verbose", "info,dyn=loud", "dyn="])("%j has a level that is none", (text) => {
	expect(() => parseLogFilter(text)).toThrow(`${JSON.stringify(/[^=,]*$/.exec(text)![0])} is no log level`);
});

it("decides about every logger by its target", () => {
	const records: LogRecord[] = [];
	const logger = createLogger(parseLogFilter("warn,dyn::runtime=debug"), (record) => records.push(record));
	logger.child({ target: "dyn::engine" }).info("hidden");
	const runtime = logger.child({ target: "dyn::runtime" }).child({ request: "r" });
	runtime.trace("hidden");
	runtime.debug("seen");
	expect(records.map(({ message }) => message)).toEqual(["seen"]);
	expect(JSON.parse(formatJsonLine(records[0]!))).toMatchObject({ target: "dyn::runtime", request: "r" });
	expect(formatPrettyLine(records[0]!)).toMatch(/seen request=r$/);
});
