// SPDX-License-Identifier: Apache-2.0

import { parseEbnf } from "../ebnf/parse-ebnf.js";
import {
	characters,
	choice,
	EMPTY,
	type Expression,
	type Grammar,
	LAST_CODE_POINT,
	repeat,
	rule,
	sequence,
	text,
} from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import { isObject, type SchemaObject } from "../json/keywords.js";
import { schemaGrammar } from "../json/schema-grammar.js";
import { parseRegex } from "../regex/parse-regex.js";
import { freeText } from "./free-text.js";
import { legacyFormat } from "./legacy-tag.js";
import { flagIn, formatsIn, textIn, textsIn } from "./tag-fields.js";

const MAX_DEPTH = 50;
const MAX_WORD = 200;

/**
 * Free text with spans that are not free: xgrammar's structural tags, as JSON (`{"type": "structural_tag", "format": …}`, or the
 * older `structures` and `triggers`).
 * @throws GrammarError naming what is malformed or not supported.
 */
export function structuralTagGrammar(tag: string): Grammar {
	let document: unknown;
	try {
		document = JSON.parse(tag);
	} catch (error) {
		throw new GrammarError(`the structural tag is no JSON: ${(error as Error).message}`);
	}
	if (!isObject(document)) throw new GrammarError("the structural tag must be an object");
	const converter = new TagConverter();
	const format =
		document["format"] ?? (document["structures"] === undefined ? document : legacyFormat(document));
	const start = converter.format(format, "format", 0);
	return { rules: converter.rules, start };
}

class TagConverter {
	readonly rules = new Map<string, Expression>();
	#names = 0;

	format(format: unknown, path: string, depth: number): Expression {
		if (!isObject(format))
			throw new GrammarError(`${path} of the structural tag must be an object with a type`);
		if (depth > MAX_DEPTH) throw new GrammarError(`the structural tag is nested more than ${MAX_DEPTH} deep`);
		const inner = (): Expression[] =>
			formatsIn(format, "elements", path).map((element, index) =>
				this.format(element, `${path}.elements[${index}]`, depth + 1),
			);
		switch (format["type"]) {
			case "const_string":
				return text(textIn(format, "value", path));
			case "any_text":
				return repeat(characters([[0, LAST_CODE_POINT]]), 0, Number.POSITIVE_INFINITY);
			case "json_schema":
				return this.#include(schemaGrammar(JSON.stringify(format["json_schema"] ?? null)));
			case "grammar":
				return this.#include(parseEbnf(textIn(format, "grammar", path)));
			case "regex":
				return parseRegex(textIn(format, "pattern", path));
			case "sequence":
				return sequence(...inner());
			case "or":
				return choice(...inner());
			case "tag": {
				const { begin, rest } = this.#tag(format, path, depth);
				return sequence(text(begin), rest);
			}
			case "triggered_tags":
				return this.#triggered(format, path, depth);
			case "tags_with_separator":
				return this.#separated(format, path, depth);
			default:
				throw new GrammarError(
					`${path}.type of the structural tag is ${JSON.stringify(format["type"] ?? null)}, which is not supported`,
				);
		}
	}

	/** A tag: its begin, and content and end. */
	#tag(
		tag: SchemaObject,
		path: string,
		depth: number,
	): { readonly begin: string; readonly rest: Expression } {
		const begin = textIn(tag, "begin", path);
		const end = textIn(tag, "end", path);
		const { content } = tag;
		if (isObject(content) && content["type"] === "any_text") {
			if (end === "")
				throw new GrammarError(`${path}.end of the structural tag is empty, but any text comes before it`);
			const rest = freeText(this.#newName(), [short(end, `${path}.end`)], () => EMPTY, false, this.#define);
			return { begin, rest };
		}
		return { begin, rest: sequence(this.format(content, `${path}.content`, depth + 1), text(end)) };
	}

	#tags(
		format: SchemaObject,
		path: string,
		depth: number,
	): { readonly begin: string; readonly rest: Expression }[] {
		return formatsIn(format, "tags", path).map((tag, index) =>
			this.#tag(tag, `${path}.tags[${index}]`, depth + 1),
		);
	}

	/** Free text in which a trigger must be the beginning of a tag. */
	#triggered(format: SchemaObject, path: string, depth: number): Expression {
		const tags = this.#tags(format, path, depth);
		const triggers = textsIn(format, "triggers", path).map((trigger) => short(trigger, `${path}.triggers`));
		for (const one of triggers)
			if (triggers.some((other) => other !== one && other.includes(one)))
				throw new GrammarError(`the trigger ${JSON.stringify(one)} of the structural tag is part of another`);
		const stray = tags.find(({ begin }) => !triggers.some((trigger) => begin.startsWith(trigger)));
		if (stray)
			throw new GrammarError(
				`the tag ${JSON.stringify(stray.begin)} of the structural tag begins with none of its triggers`,
			);
		const once = flagIn(format, "stop_after_first", path);
		const afterTrigger = (next: Expression) => (trigger: string) =>
			sequence(
				choice(
					...tags
						.filter(({ begin }) => begin.startsWith(trigger))
						.map(({ begin, rest }) => sequence(text(begin.slice(trigger.length)), rest)),
				),
				next,
			);
		const name = this.#newName();
		const more = once
			? EMPTY
			: freeText(name, triggers, (trigger, free) => afterTrigger(free)(trigger), true, this.#define);
		if (flagIn(format, "at_least_one", path)) {
			const any = choice(...tags.map(({ begin, rest }) => sequence(text(begin), rest)));
			return sequence(any, more);
		}
		return once ? freeText(name, triggers, afterTrigger(EMPTY), true, this.#define) : more;
	}

	#separated(format: SchemaObject, path: string, depth: number): Expression {
		const any = choice(
			...this.#tags(format, path, depth).map(({ begin, rest }) => sequence(text(begin), rest)),
		);
		const separator = text(textIn(format, "separator", path));
		const most = flagIn(format, "stop_after_first", path) ? 0 : Number.POSITIVE_INFINITY;
		const some = sequence(any, repeat(sequence(separator, any), 0, most));
		return flagIn(format, "at_least_one", path) ? some : choice(EMPTY, some);
	}

	/** Takes over the rules of another grammar, under names of their own. */
	#include({ rules, start }: Grammar): Expression {
		const prefix = this.#newName();
		for (const [name, expression] of rules) this.rules.set(`${prefix}.${name}`, renamed(expression, prefix));
		return renamed(start, prefix);
	}

	#newName(): string {
		return `tag${this.#names++}`;
	}

	readonly #define = (name: string, expression: Expression): void => {
		this.rules.set(name, expression);
	};
}

function renamed(expression: Expression, prefix: string): Expression {
	switch (expression.kind) {
		case "rule":
			return rule(`${prefix}.${expression.name}`);
		case "sequence":
		case "choice":
			return { kind: expression.kind, items: expression.items.map((item) => renamed(item, prefix)) };
		case "repeat":
			return { ...expression, item: renamed(expression.item, prefix) };
		default:
			return expression;
	}
}

function short(word: string, path: string): string {
	if (word.length > 0 && word.length <= MAX_WORD) return word;
	throw new GrammarError(`${path} of the structural tag must have 1 to ${MAX_WORD} characters`);
}
