// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { type OptionSpec, parseOptions } from "./option-table.js";

const table: OptionSpec[] = [
	{
		name: "port",
		flags: ["http-port"],
		env: ["DYN_HTTP_PORT"],
		type: "integer",
		range: [0, 65535],
		value: "PORT",
		help: "",
		group: "",
	},
	{ name: "model", flags: ["model", "model-path"], type: "string", value: "M", help: "", group: "" },
	{ name: "offline", flags: ["offline"], env: ["OFF"], type: "boolean", help: "", group: "" },
	{
		name: "keys",
		flags: ["api-key"],
		env: ["KEYS"],
		type: "string",
		repeated: true,
		value: "K",
		help: "",
		group: "",
	},
	{
		name: "old",
		flags: ["engine-dir"],
		type: "string",
		value: "D",
		help: "",
		group: "",
		gone: "use --model",
	},
	{ name: "mode", flags: ["mode"], type: "string", choices: ["a", "b"], value: "X", help: "", group: "" },
];
const parse = (argv: string[], env = {}) => parseOptions(table, argv, env);

describe("parseOptions", () => {
	it("reads flags in both forms, older spellings, booleans and positionals", () => {
		expect(parse(["--http-port=80", "--model-path", "x", "--offline", "pull", "--", "--raw"])).toEqual({
			values: { port: 80, model: "x", offline: true },
			positionals: ["pull", "--raw"],
		});
	});

	it("lets a flag win over a variable, also to negate it", () => {
		expect(parse([], { DYN_HTTP_PORT: "1", OFF: "1" }).values).toEqual({ port: 1, offline: true });
		expect(parse(["--http-port", "2", "--no-offline"], { DYN_HTTP_PORT: "1", OFF: "1" }).values).toEqual({
			port: 2,
			offline: false,
		});
	});

	it("collects repeated options and comma lists", () => {
		expect(parse(["--api-key", "a", "--api-key", "b,c"], { KEYS: "z" }).values).toEqual({
			keys: ["a", "b", "c"],
		});
	});

	it.each([
		[["--http-port", "eighty"], {}, '--http-port must be an integer from 0 to 65535, got "eighty"'],
		[["--http-port", "70000"], {}, "--http-port must be an integer from 0 to 65535"],
		[[], { DYN_HTTP_PORT: "x" }, "DYN_HTTP_PORT must be an integer"],
		[["--http-prt", "x"], {}, "there is no option --http-prt, did you mean --http-port?"],
		[["--model"], {}, "--model needs a value: --model M"],
		[["--engine-dir", "x"], {}, "--engine-dir is gone: use --model"],
		[["--mode", "c"], {}, "--mode must be one of a, b"],
		[["--offline=maybe"], {}, "--offline must be true or false"],
	])("refuses %j %j", (argv, env, message) => {
		expect(() => parse(argv, env)).toThrow(message);
	});
});

it("asks an option what its text must be, and says whose it was", () => {
	const check = (text: string) => (text === "good" ? null : "good");
	const table = [
		{ name: "x", flags: ["x"], env: ["X"], type: "string", help: "", group: "", check },
	] as const satisfies readonly OptionSpec[];
	expect(parseOptions(table, [], { X: "good" }).values).toEqual({ x: "good" });
	expect(() => parseOptions(table, [], { X: "bad" })).toThrow('X must be good, got "bad"');
	expect(() => parseOptions(table, ["--x", "worse"], {})).toThrow('--x must be good, got "worse"');
});
