// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { takeDynamicFlags } from "./dynamic-flags.js";

it.each([
	[
		["--model", "m", "--trtllm.a.b", "1", "--json"],
		["--trtllm.a.b", "1"],
		["--model", "m", "--json"],
	],
	[["--trtllm.a=1", "word"], ["--trtllm.a=1"], ["word"]],
	[["--trtllm.a", "-1"], ["--trtllm.a", "-1"], []],
	[["--trtllm.a", "--json"], ["--trtllm.a"], ["--json"]],
	[["--trtllm-python", "python3"], [], ["--trtllm-python", "python3"]],
])("takes the dynamic flags out of %j", (argv, dynamic, rest) =>
	expect(takeDynamicFlags(argv)).toEqual({ dynamic, rest }),
);
