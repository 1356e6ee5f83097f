// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { type EngineArgs, layerEngineArgs } from "./merge-engine-args.js";

function layered(...layers: EngineArgs[]): [EngineArgs, string[]] {
	const replaced: string[] = [];
	const named = layers.map((args, i) => [`layer ${i}`, args] as const);
	return [layerEngineArgs(named, (path, by) => replaced.push(`${path} by ${by}`)), replaced];
}

it.each<[string, EngineArgs[], EngineArgs, string[]]>([
	["later layers win", [{ a: 1 }, { a: 2 }, { a: 3 }], { a: 3 }, ["a by layer 1", "a by layer 2"]],
	["sections merge", [{ s: { a: 1 } }, { s: { b: 2 } }], { s: { a: 1, b: 2 } }, []],
	[
		"names the dotted path",
		[{ s: { t: { a: 1 } } }, { s: { t: { a: 2 } } }],
		{ s: { t: { a: 2 } } },
		["s.t.a by layer 1"],
	],
	["the same value replaces nothing", [{ a: 1 }, { a: 1 }], { a: 1 }, []],
	[
		"unset fields stay out, at every depth",
		[
			{ a: 1, s: { b: undefined } },
			{ a: undefined, s: { c: undefined } },
		],
		{ a: 1, s: {} },
		[],
	],
	["null is a value", [{ a: 1 }, { a: null }], { a: null }, ["a by layer 1"]],
	["lists are replaced whole", [{ a: [1, 2] }, { a: [3] }], { a: [3] }, ["a by layer 1"]],
	["a section replaces a scalar", [{ a: 1 }, { a: { b: 2 } }], { a: { b: 2 } }, ["a by layer 1"]],
	["a scalar replaces a section", [{ a: { b: 2 } }, { a: "auto" }], { a: "auto" }, ["a by layer 1"]],
])("%s", (_, layers, merged, replaced) => {
	const [result, paths] = layered(...layers);
	expect(result).toStrictEqual(merged);
	expect(paths).toEqual(replaced);
});

it("leaves the layers as they are", () => {
	const base = { s: { a: 1 } };
	layered(base, { s: { a: 2 } });
	expect(base).toEqual({ s: { a: 1 } });
});
