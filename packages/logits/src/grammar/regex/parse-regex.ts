// SPDX-License-Identifier: Apache-2.0
import {
	characters,
	choice,
	EMPTY,
	type Expression,
	invertRanges,
	LAST_CODE_POINT,
	repeat,
	sequence,
} from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import { DOT, readClass, readEscape } from "./character-class.js";
import { RegexReader } from "./regex-reader.js";

const MAX_DEPTH = 100;
const MAX_COUNT = 100_000;

/** One way of the outermost alternation: what it matches, and whether it says that the text begins and ends with it. */
interface Branch {
	readonly expression: Expression;
	readonly anchoredStart: boolean;
	readonly anchoredEnd: boolean;
}

/**
 * A regular expression in JavaScript's notation that has to match the whole text. `^` and `$` around it mean nothing more.
 * @throws GrammarError for what is malformed, and for what no grammar can express: look-around, back-references, word boundaries.
 */
export function parseRegex(pattern: string): Expression {
	return choice(...parseBranches(pattern).map(({ expression }) => expression));
}

/** The same, matching anywhere in the text, as `pattern` of a JSON Schema does. */
export function parseSearch(pattern: string): Expression {
	const anything = repeat(characters([[0, LAST_CODE_POINT]]), 0, Number.POSITIVE_INFINITY);
	return choice(
		...parseBranches(pattern).map(({ expression, anchoredStart, anchoredEnd }) =>
			sequence(...(anchoredStart ? [] : [anything]), expression, ...(anchoredEnd ? [] : [anything])),
		),
	);
}

function parseBranches(pattern: string): Branch[] {
	const reader = new RegexReader(pattern);
	const branches: Branch[] = [];
	do {
		const anchoredStart = reader.take("^");
		const expression = parseSequence(reader, 0);
		const anchoredEnd = reader.take("$");
		if (reader.peek() === "$" || reader.peek() === "^")
			reader.fail(`"${reader.peek()}" is supported at the ends only`);
		branches.push({ expression, anchoredStart, anchoredEnd });
	} while (reader.take("|"));
	if (!reader.done) reader.fail(`there is a "${reader.peek()}" too many`);
	return branches;
}

function parseSequence(reader: RegexReader, depth: number): Expression {
	if (depth > MAX_DEPTH) reader.fail(`groups are nested more than ${MAX_DEPTH} deep`);
	const items: Expression[] = [];
	for (let next = reader.peek(); next !== "" && !"|)$".includes(next); next = reader.peek()) {
		if (next === "^") reader.fail('"^" is supported at the ends only');
		items.push(parseQuantifier(reader, parseAtom(reader, depth)));
	}
	return items.length === 0 ? EMPTY : sequence(...items);
}

function parseAtom(reader: RegexReader, depth: number): Expression {
	const next = reader.next();
	switch (next) {
		case "(": {
			if (reader.take("?") && !reader.take(":")) {
				if (!reader.take("<") || reader.peek() === "=" || reader.peek() === "!")
					reader.fail("look-around and flags cannot be honoured");
				while (reader.next() !== ">") if (reader.done) reader.fail("a group's name does not end");
			}
			const ways = [parseSequence(reader, depth + 1)];
			while (reader.take("|")) ways.push(parseSequence(reader, depth + 1));
			if (reader.peek() === "$") reader.fail('"$" is supported at the ends only');
			if (!reader.take(")")) reader.fail('a "(" is not closed');
			return choice(...ways);
		}
		case "[":
			return readClass(reader);
		case ".":
			return characters(invertRanges(DOT));
		case "\\":
			return characters(readEscape(reader, false));
		case "*":
		case "+":
		case "?":
			return reader.fail(`"${next}" has nothing to repeat`);
		default:
			return characters([[next.codePointAt(0)!, next.codePointAt(0)!]]);
	}
}

function parseQuantifier(reader: RegexReader, item: Expression): Expression {
	const bounds = readBounds(reader);
	if (!bounds) return item;
	reader.take("?"); // lazy or not, the texts that match are the same
	if (["*", "+", "?"].includes(reader.peek())) reader.fail(`"${reader.peek()}" has nothing to repeat`);
	const [min, max] = bounds;
	if (max < min) reader.fail(`{${min},${max}} is upside down`);
	if (min > MAX_COUNT || (max !== Number.POSITIVE_INFINITY && max > MAX_COUNT))
		throw new GrammarError(`a repetition of more than ${MAX_COUNT} is too large`);
	return repeat(item, min, max);
}

function readBounds(reader: RegexReader): readonly [number, number] | null {
	if (reader.take("*")) return [0, Number.POSITIVE_INFINITY];
	if (reader.take("+")) return [1, Number.POSITIVE_INFINITY];
	if (reader.take("?")) return [0, 1];
	const counted = reader.match(/^\{(\d{1,9})(,(\d{0,9}))?\}/);
	if (!counted) return null; // a "{" that begins no counts stands for itself
	const min = Number(counted[1]);
	if (counted[2] === undefined) return [min, min];
	return [min, counted[3] ? Number(counted[3]) : Number.POSITIVE_INFINITY];
}
