// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { sentencePieceMerges } from "./sentencepiece-merges.js";

const NORMAL = 1;
const CONTROL = 3;
const merges = (pieces: readonly (readonly [string, number, number?])[]) =>
	sentencePieceMerges(
		pieces.map(([token]) => token),
		pieces.map(([, , type = NORMAL]) => type),
		pieces.map(([, score]) => score),
	);

it("cuts every piece in two pieces wherever that is possible, the best scores and shortest beginnings first", () => {
	expect(
		merges([
			["a", -1],
			["b", -2],
			["ab", -4],
			["aab", -3],
			["aa", -5],
		]),
	).toEqual([
		["a", "ab"],
		["aa", "b"],
		["a", "b"],
		["a", "a"],
	]);
});

it("cuts between characters, and only what ordinary pieces make", () => {
	expect(
		merges([
			["😀", 0],
			["😀😀", 0],
			["</s>", 0, CONTROL],
			["😀</s>", 0],
		]),
	).toEqual([["😀", "😀"]]);
});

it("takes a piece of a million characters, as a damaged file may have one", () => {
	const long = "x".repeat(1_000_000);
	expect(
		merges([
			["x", 0],
			[long.slice(1), 0],
			[long, -1],
		]),
	).toEqual([
		["x", long.slice(1)],
		[long.slice(1), "x"],
	]);
});
