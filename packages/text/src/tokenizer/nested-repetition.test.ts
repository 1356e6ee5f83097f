// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { GGUF_PRE_TOKENIZERS } from "../gguf/gguf-pre-tokenizers.js";
import { hasNestedRepetition } from "./nested-repetition.js";

it.each(["(a+)+", "(?:a*b?)*", "((a+))*", "(?:(a|b+)c?){2,}", "([a-z]+\\s?)+$", "(a{1,})*", "([])+]+)+"])(
	"notices %s",
	(regex) => {
		expect(hasNestedRepetition(regex)).toBe(true);
	},
);

it.each([
	"",
	"a+b*",
	"(?:ab)+",
	"(a+)?",
	"(a{1,3})+",
	"[(a+)+]+",
	"\\(a+\\)+",
	"(a+)(b)+",
	"[\\])+]+",
	"((?=[\\p{L}])([^a-z]))*",
	"[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}]*[\\p{Ll}]+(?i:'s|'t)?|\\p{N}{1,3}",
])("lets %s pass", (regex) => {
	expect(hasNestedRepetition(regex)).toBe(false);
});

it("lets the known pre-tokenizers pass", () => {
	const regexes = JSON.stringify([...GGUF_PRE_TOKENIZERS.values()]).match(/"Regex":"(?:[^"\\]|\\.)*"/g)!;
	expect(regexes.length).toBeGreaterThan(1);
	for (const regex of regexes) expect(hasNestedRepetition(JSON.parse(`{${regex}}`).Regex)).toBe(false);
});
