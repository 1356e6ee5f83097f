// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { inferValue, parseDynamicArgs } from "./dynamic-args.js";

describe("inferValue", () => {
	it.each([
		["32", 32],
		["-1", -1],
		["007", 7],
		["0.5", 0.5],
		[".5", 0.5],
		["1e3", 1000],
		["true", true],
		["False", false],
		["DEFAULT", "DEFAULT"],
		["", ""],
		["1.3.0", "1.3.0"],
		["18446744073709551615", "18446744073709551615"],
	])("takes %j for %j", (text, value) => expect(inferValue(text)).toBe(value));
});

describe("parseDynamicArgs", () => {
	it("nests by dots, with values behind a space or an equals sign", () => {
		const flags = [
			"--trtllm.kv_cache_config.enable_block_reuse",
			"false",
			"--trtllm.kv_cache_config.event_buffer_max_size=1024",
			"--trtllm.max_seq_len",
			"-1",
		];
		expect(parseDynamicArgs(flags)).toEqual({
			kv_cache_config: { enable_block_reuse: false, event_buffer_max_size: 1024 },
			max_seq_len: -1,
		});
	});

	it.each([
		[["--trtllm.max_seq_len"], "--trtllm.max_seq_len needs a value"],
		[["--trtllm.a", "--trtllm.b", "1"], "--trtllm.a needs a value"],
		[["--trtllm.a..b", "1"], "--trtllm.a..b is no engine argument"],
		[["--trtllm."], "--trtllm. is no engine argument"],
		[["--trtlm.a", "1"], "--trtlm.a is no engine argument"],
		[["--trtllm.a", "1", "--trtllm.a.b", "2"], "--trtllm.a.b goes below a"],
		[["--trtllm.a.b", "1", "--trtllm.a", "2"], "--trtllm.a would replace"],
	])("refuses %j", (flags, message) => expect(() => parseDynamicArgs(flags)).toThrow(message));
});
