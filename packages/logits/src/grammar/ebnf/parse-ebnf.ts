// SPDX-License-Identifier: Apache-2.0
import {
	characters,
	choice,
	EMPTY,
	type Expression,
	type Grammar,
	invertRanges,
	LAST_CODE_POINT,
	repeat,
	rule,
	sequence,
	text,
} from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import { EbnfReader } from "./ebnf-reader.js";

const MAX_DEPTH = 100;
const MAX_COUNT = 100_000;

/**
 * A grammar in the notation that xgrammar and llama.cpp share: `name ::= expression`, one rule after the other, `root` first to
 * be matched. Expressions: "text", [a-z], [^a-z], `.` for any character, names, ( ), |, *, +, ?, {n}, {n,}, {n,m}; # begins a comment.
 * @throws GrammarError saying where.
 */
export function parseEbnf(source: string): Grammar {
	const reader = new EbnfReader(source);
	const rules = new Map<string, Expression>();
	for (;;) {
		reader.space();
		if (reader.done) break;
		const name = reader.name() ?? reader.fail("a rule's name is expected");
		reader.space();
		if (!reader.take("::=")) reader.fail(`"::=" is expected after ${name}`);
		if (rules.has(name)) reader.fail(`rule ${name} is defined twice`);
		rules.set(name, parseChoice(reader, 0));
	}
	if (!rules.has("root")) throw new GrammarError("the grammar has no rule root");
	return { rules, start: rule("root") };
}

function parseChoice(reader: EbnfReader, depth: number): Expression {
	if (depth > MAX_DEPTH) reader.fail(`it is nested more than ${MAX_DEPTH} deep`);
	const ways = [parseSequence(reader, depth)];
	for (reader.space(); reader.take("|"); reader.space()) ways.push(parseSequence(reader, depth));
	return choice(...ways);
}

function parseSequence(reader: EbnfReader, depth: number): Expression {
	const items: Expression[] = [];
	for (;;) {
		reader.space();
		const item = parseItem(reader, depth);
		if (!item) return items.length === 0 ? EMPTY : sequence(...items);
		items.push(parseRepetition(reader, item));
	}
}

/** null where a sequence ends. */
function parseItem(reader: EbnfReader, depth: number): Expression | null {
	switch (reader.peek()) {
		case "":
		case "|":
		case ")":
			return null;
		case '"':
			return text(reader.literal());
		case "[": {
			const { ranges, negated } = reader.class();
			return characters(negated ? invertRanges(ranges) : ranges);
		}
		case ".":
			reader.take(".");
			return characters([[0, LAST_CODE_POINT]]);
		case "(": {
			reader.take("(");
			if (reader.peek() === "=") reader.fail("look-ahead assertions are not supported; leave them out");
			const inner = parseChoice(reader, depth + 1);
			if (!reader.take(")")) reader.fail('a "(" is not closed');
			return inner;
		}
	}
	if (reader.beginsRule()) return null;
	const name = reader.name();
	if (name === null) return reader.fail(`${JSON.stringify(reader.peek())} is not expected`);
	if (reader.peek() === "(") reader.fail(`macros such as ${name}(…) are not supported`);
	return rule(name);
}

function parseRepetition(reader: EbnfReader, item: Expression): Expression {
	if (reader.take("*")) return repeat(item, 0, Number.POSITIVE_INFINITY);
	if (reader.take("+")) return repeat(item, 1, Number.POSITIVE_INFINITY);
	if (reader.take("?")) return repeat(item, 0, 1);
	const counts = reader.counts();
	if (!counts) return item;
	const [min, max] = counts;
	if (max < min) reader.fail(`{${min},${max}} is upside down`);
	if (min > MAX_COUNT || (max !== Number.POSITIVE_INFINITY && max > MAX_COUNT))
		reader.fail(`a repetition of more than ${MAX_COUNT} is too large`);
	return repeat(item, min, max);
}
