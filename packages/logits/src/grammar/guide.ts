// SPDX-License-Identifier: Apache-2.0
import { parseEbnf } from "./ebnf/parse-ebnf.js";
import { choice, type Grammar, text } from "./expression.js";
import { GrammarError } from "./grammar-error.js";
import { ANY_OBJECT, JSON_RULES } from "./json/json-value.js";
import { schemaGrammar } from "./json/schema-grammar.js";
import { parseRegex } from "./regex/parse-regex.js";
import { structuralTagGrammar } from "./tags/structural-tag.js";

/** What an answer must look like. */
export type Guide =
	/** `schema`: a JSON Schema, as JSON text. */
	| { readonly kind: "json_schema"; readonly schema: string }
	| { readonly kind: "json_object" }
	/** The whole answer has to match. */
	| { readonly kind: "regex"; readonly pattern: string }
	| { readonly kind: "grammar"; readonly ebnf: string }
	/** `tag`: as JSON text. */
	| { readonly kind: "structural_tag"; readonly tag: string }
	| { readonly kind: "choice"; readonly choices: readonly string[] };

/** Characters that a guide may have. */
const MAX_LENGTH = 256 * 1024;
const MAX_CHOICES = 10_000;

/** @throws GrammarError for a guide that is too long to be looked at. */
export function checkLength(guide: Guide): void {
	const length = lengthOf(guide);
	if (length > MAX_LENGTH)
		throw new GrammarError(`it has ${length} characters; at most ${MAX_LENGTH} are taken`);
}

function lengthOf(guide: Guide): number {
	switch (guide.kind) {
		case "json_schema":
			return guide.schema.length;
		case "json_object":
			return 0;
		case "regex":
			return guide.pattern.length;
		case "grammar":
			return guide.ebnf.length;
		case "structural_tag":
			return guide.tag.length;
		case "choice":
			return guide.choices.reduce((sum, { length }) => sum + length, guide.choices.length);
	}
}

/** @throws GrammarError saying what cannot be honoured. */
export function guideGrammar(guide: Guide): Grammar {
	checkLength(guide);
	switch (guide.kind) {
		case "json_schema":
			return schemaGrammar(guide.schema);
		case "json_object":
			return { rules: JSON_RULES, start: ANY_OBJECT };
		case "regex":
			return { rules: new Map(), start: parseRegex(guide.pattern) };
		case "grammar":
			return parseEbnf(guide.ebnf);
		case "structural_tag":
			return structuralTagGrammar(guide.tag);
		case "choice":
			if (guide.choices.length === 0 || guide.choices.length > MAX_CHOICES)
				throw new GrammarError(`there must be 1 to ${MAX_CHOICES} choices, not ${guide.choices.length}`);
			return { rules: new Map(), start: choice(...guide.choices.map(text)) };
	}
}
