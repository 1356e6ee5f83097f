// SPDX-License-Identifier: Apache-2.0
import {
	characters,
	choice,
	type Expression,
	optional,
	repeat,
	rule,
	sequence,
	text,
} from "../expression.js";
import { ANY_STRING, STRING_RULES } from "./json-string.js";

export const DIGIT: Expression = characters([[0x30, 0x39]]);
const LEADING_DIGIT = characters([[0x31, 0x39]]);

/** Between the parts of a value: nothing, a space, or a new line with its indent. Bounded, since small models would go on for ever. */
export const SPACE: Expression = rule("space");
export const ANY_VALUE: Expression = rule("value");
export const ANY_INTEGER: Expression = rule("integer");
export const ANY_NUMBER: Expression = rule("number");
export const ANY_OBJECT: Expression = rule("object");
export const ANY_ARRAY: Expression = rule("array");

/** `{` and `}` around pairs, or `[` and `]` around values: `items` begins with the first. */
export function enclosed(open: string, items: Expression, close: string): Expression {
	return sequence(text(open), SPACE, items, SPACE, text(close));
}

export function pair(key: Expression, value: Expression): Expression {
	return sequence(key, text(":"), SPACE, value);
}

/** What stands between two items, then an item. */
export function another(item: Expression): Expression {
	return sequence(text(","), SPACE, item);
}

function listOf(open: string, item: Expression, close: string): Expression {
	const more = repeat(another(item), 0, Number.POSITIVE_INFINITY);
	return choice(text(open + close), enclosed(open, sequence(item, more), close));
}

/**
 * JSON (RFC 8259), but for white space where nobody writes any, and numbers that no double holds: up to 15 digits before
 * and after the point.
 */
export const JSON_RULES: ReadonlyMap<string, Expression> = new Map([
	...STRING_RULES,
	[
		"space",
		choice(
			text(""),
			text(" "),
			sequence(
				text("\n"),
				repeat(
					characters([
						[0x09, 0x09],
						[0x20, 0x20],
					]),
					0,
					32,
				),
			),
		),
	],
	["integer", choice(text("0"), sequence(optional(text("-")), LEADING_DIGIT, repeat(DIGIT, 0, 14)))],
	[
		"number",
		sequence(
			optional(text("-")),
			choice(text("0"), sequence(LEADING_DIGIT, repeat(DIGIT, 0, 14))),
			optional(sequence(text("."), repeat(DIGIT, 1, 15))),
			optional(
				sequence(choice(text("e"), text("E")), optional(choice(text("+"), text("-"))), repeat(DIGIT, 1, 2)),
			),
		),
	],
	["object", listOf("{", pair(ANY_STRING, ANY_VALUE), "}")],
	["array", listOf("[", ANY_VALUE, "]")],
	["value", choice(ANY_OBJECT, ANY_ARRAY, ANY_STRING, ANY_NUMBER, text("true"), text("false"), text("null"))],
]);
