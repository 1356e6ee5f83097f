// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { ControlTokenText } from "./control-token-text.js";
import type { AddedToken } from "./tokenizer-document.js";

function token(content: string, more: Partial<AddedToken> = {}): AddedToken {
	const flags = { special: true, normalized: false, lstrip: false, rstrip: false, singleWord: false };
	return { id: 0, content, ...flags, ...more };
}

function rename(tokens: readonly AddedToken[], text: string, literalOffsets: readonly number[] = []): string {
	const names = new Map(
		tokens.filter((t) => t.special).map((t) => [t.content, `{${t.content.toUpperCase()}}`]),
	);
	return new ControlTokenText(tokens, names).rename(text, literalOffsets);
}

describe("ControlTokenText", () => {
	it("takes the leftmost and then the longest token", () => {
		const tokens = [token("<a"), token("<ab>"), token("b>c")];
		expect(rename(tokens, "x<ab>c<a<abb>c<")).toBe("x{<AB>}c{<A}{<A}b{B>C}<".replace("b{B>C}", "b{B>C}"));
	});

	it("starts no token at a literal offset", () => {
		const tokens = [token("<e>")];
		expect(rename(tokens, "<e><e><e>", [3])).toBe("{<E>}<e>{<E>}");
		expect(rename(tokens, "<e><e><e>", [0, 6])).toBe("<e>{<E>}<e>");
	});

	it("leaves ordinary added tokens and what they cover alone", () => {
		expect(rename([token("<<e>", { special: false }), token("<e>")], "<<e><e>")).toBe("<<e>{<E>}");
		expect(rename([token("<<e>", { special: false, normalized: true }), token("<e>")], "<<e>")).toBe(
			"<{<E>}",
		);
	});

	it("matches a single word only when it stands alone", () => {
		const tokens = [token("mask", { singleWord: true })];
		expect(rename(tokens, "mask unmask masks émask (mask) mask_ mask𝒜")).toBe(
			"{MASK} unmask masks émask ({MASK}) mask_ mask𝒜",
		);
	});

	it("leaves a text without control tokens as it is", () => {
		expect(rename([], "<e>")).toBe("<e>");
	});
});
