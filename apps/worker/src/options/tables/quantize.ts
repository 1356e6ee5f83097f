// SPDX-License-Identifier: Apache-2.0
import type { OptionSpec } from "@dyn/common";
import { engine, quantization } from "./engine.js";
import { model } from "./model.js";

const GROUP = "Quantize";
const taken = (specs: readonly OptionSpec[], name: string): OptionSpec => ({
	...specs.find((spec) => spec.name === name)!,
	group: GROUP,
});

/** What `model quantize` takes beside the model. */
export const quantize: readonly OptionSpec[] = [
	{
		name: "check",
		flags: ["check"],
		type: "boolean",
		help: "Measure what quantising costs in perplexity",
		group: GROUP,
	},
	{ ...quantization, env: [], help: "Compare with this alone (default: with each)", group: GROUP },
	{
		name: "text",
		flags: ["text"],
		type: "string",
		value: "FILE",
		help: "Text to measure with (default: 1,500 tokens of several kinds)",
		group: GROUP,
	},
	{
		name: "json",
		flags: ["json"],
		type: "boolean",
		help: "Figures for programs",
		group: GROUP,
	},
	taken(model, "tokenizer"),
	taken(engine, "threads"),
	taken(engine, "nativePath"),
];
