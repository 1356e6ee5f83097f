// SPDX-License-Identifier: Apache-2.0
import { type CodeRange, characters, type Expression, invertRanges } from "../expression.js";
import type { RegexReader } from "./regex-reader.js";

const DIGIT: readonly CodeRange[] = [[0x30, 0x39]];
const WORD: readonly CodeRange[] = [
	[0x30, 0x39],
	[0x41, 0x5a],
	[0x5f, 0x5f],
	[0x61, 0x7a],
];
/** ECMAScript's WhiteSpace and LineTerminator. */
const SPACE: readonly CodeRange[] = [
	[0x09, 0x0d],
	[0x20, 0x20],
	[0xa0, 0xa0],
	[0x1680, 0x1680],
	[0x2000, 0x200a],
	[0x2028, 0x2029],
	[0x202f, 0x202f],
	[0x205f, 0x205f],
	[0x3000, 0x3000],
	[0xfeff, 0xfeff],
];
/** What "." does not match: line terminators. */
export const DOT: readonly CodeRange[] = [
	[0x0a, 0x0a],
	[0x0d, 0x0d],
	[0x2028, 0x2029],
];
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, "0": 0 };

/** A class, after its "[". */
export function readClass(reader: RegexReader): Expression {
	const negated = reader.take("^");
	const ranges: CodeRange[] = [];
	while (!reader.take("]")) {
		if (reader.done) reader.fail('a "[" is not closed');
		const low = readMember(reader);
		const first = single(low);
		if (first === null || reader.peek() !== "-") {
			ranges.push(...low);
			continue;
		}
		reader.next();
		if (reader.peek() === "]") {
			ranges.push(...low, [0x2d, 0x2d]);
			continue;
		}
		const last = single(readMember(reader));
		if (last === null || last < first) reader.fail("a range of a class is upside down");
		ranges.push([first, last]);
	}
	return characters(negated ? invertRanges(ranges) : ranges);
}

function readMember(reader: RegexReader): readonly CodeRange[] {
	const next = reader.next();
	if (next === "\\") return readEscape(reader, true);
	if (next === "") return reader.fail('a "[" is not closed');
	return [[next.codePointAt(0)!, next.codePointAt(0)!]];
}

function single(ranges: readonly CodeRange[]): number | null {
	const [only] = ranges;
	return ranges.length === 1 && only![0] === only![1] ? only![0] : null;
}

/** What an escape, after its backslash, stands for. */
export function readEscape(reader: RegexReader, inClass: boolean): readonly CodeRange[] {
	const next = reader.next();
	switch (next) {
		case "d":
			return DIGIT;
		case "D":
			return invertRanges(DIGIT);
		case "w":
			return WORD;
		case "W":
			return invertRanges(WORD);
		case "s":
			return SPACE;
		case "S":
			return invertRanges(SPACE);
		case "x":
		case "u":
			return one(readCode(reader, next));
		case "b":
			if (inClass) return one(8);
			return reader.fail("word boundaries cannot be honoured");
		case "B":
			return reader.fail("word boundaries cannot be honoured");
		case "p":
		case "P":
			return reader.fail("Unicode properties (\\p) are not supported; name the characters");
		case "":
			return reader.fail("it ends with a backslash");
	}
	if (Object.hasOwn(CONTROLS, next)) return one(CONTROLS[next]!);
	if (/[1-9k]/.test(next)) return reader.fail("back-references cannot be honoured");
	if (/[A-Za-z]/.test(next)) return reader.fail(`"\\${next}" is no escape`);
	return one(next.codePointAt(0)!);
}

function readCode(reader: RegexReader, kind: string): number {
	const found =
		kind === "x"
			? reader.match(/^([0-9A-Fa-f]{2})/)
			: reader.match(/^(?:\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{4}))/);
	const code = Number.parseInt(found?.[1] ?? found?.[2] ?? "", 16);
	return code <= 0x10ffff ? code : reader.fail(`"\\${kind}" needs a hexadecimal code`);
}

function one(code: number): readonly CodeRange[] {
	return [[code, code]];
}
