// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
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
