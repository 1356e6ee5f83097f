// SPDX-License-Identifier: Apache-2.0
import {
	characters,
	choice,
	type Expression,
	intersectRanges,
	invertRanges,
	LAST_CODE_POINT,
	NOTHING,
	repeat,
	rule,
	sequence,
	text,
} from "../expression.js";

/** Characters that stand for themselves in a JSON string (RFC 8259 §7). */
const PLAIN = [
	[0x20, 0x21],
	[0x23, 0x5b],
	[0x5d, LAST_CODE_POINT],
] as const;
/** The others that have a short escape. */
const ESCAPES: Readonly<Record<number, string>> = {
	8: "\\b",
	9: "\\t",
	10: "\\n",
	12: "\\f",
	13: "\\r",
	34: '\\"',
	92: "\\\\",
};
const HEX = characters([
	[0x30, 0x39],
	[0x41, 0x46],
	[0x61, 0x66],
]);

/** Rules that the expressions below refer to. */
export const STRING_RULES: ReadonlyMap<string, Expression> = new Map([
	[
		// One code point, in any spelling but as a pair of surrogates.
		"character",
		choice(
			characters(PLAIN),
			sequence(
				text("\\"),
				choice(
					characters(
						Array.from('"\\/bfnrt', (char) => [char.codePointAt(0)!, char.codePointAt(0)!] as const),
					),
					sequence(
						text("u"),
						choice(
							sequence(
								characters([
									[0x30, 0x39],
									[0x41, 0x43],
									[0x45, 0x46],
									[0x61, 0x63],
									[0x65, 0x66],
								]),
								HEX,
							), // no D
							sequence(
								characters([
									[0x44, 0x44],
									[0x64, 0x64],
								]),
								characters([[0x30, 0x37]]),
							), // D800..DFFF are surrogates
						),
						HEX,
						HEX,
					),
				),
			),
		),
	],
	["string", sequence(text('"'), repeat(rule("character"), 0, Number.POSITIVE_INFINITY), text('"'))],
]);

export const ANY_STRING: Expression = rule("string");

/** A string of so many code points. */
export function stringOfLength(min: number, max: number): Expression {
	return sequence(text('"'), repeat(rule("character"), min, max), text('"'));
}

/** A JSON string whose value matches `value`, every character in its shortest spelling. */
export function jsonString(value: Expression): Expression {
	return sequence(text('"'), encoded(value), text('"'));
}

function encoded(value: Expression): Expression {
	switch (value.kind) {
		case "characters": {
			const ways: Expression[] = [];
			const plain = intersectRanges(value.ranges, PLAIN);
			if (plain.length > 0) ways.push(characters(plain));
			for (const [low, high] of intersectRanges(value.ranges, [
				[0, 0x1f],
				[0x22, 0x22],
				[0x5c, 0x5c],
			]))
				for (let code = low; code <= high; code++)
					ways.push(text(ESCAPES[code] ?? `\\u${code.toString(16).padStart(4, "0")}`));
			return ways.length === 0 ? NOTHING : choice(...ways);
		}
		case "text":
			return text(JSON.stringify(value.text).slice(1, -1));
		case "sequence":
		case "choice":
			return { kind: value.kind, items: value.items.map(encoded) };
		case "repeat":
			return repeat(encoded(value.item), value.min, value.max);
		case "rule":
			return value;
	}
}

/** A key that is none of `taken`: plain characters only, so that no escape spells one of those after all. */
export function keyOtherThan(taken: readonly string[]): Expression {
	const anything = repeat(characters(PLAIN), 0, Number.POSITIVE_INFINITY);
	const from = (keys: readonly string[]): Expression => {
		const firsts = [...new Set(keys.filter((key) => key !== "").map((key) => key.codePointAt(0)!))];
		const ways: Expression[] = firsts.map((code) => {
			const char = String.fromCodePoint(code);
			const rest = keys.filter((key) => key.startsWith(char)).map((key) => key.slice(char.length));
			return sequence(encoded(text(char)), from(rest));
		});
		const others = intersectRanges(PLAIN, invertRanges(firsts.map((code) => [code, code])));
		ways.push(sequence(characters(others), anything));
		if (!keys.includes("")) ways.push(sequence());
		return choice(...ways);
	};
	return sequence(text('"'), from(taken), text('"'));
}
