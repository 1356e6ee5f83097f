// SPDX-License-Identifier: Apache-2.0
import { type Expression, NOTHING } from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import { parseRegex, parseSearch } from "../regex/parse-regex.js";
import { textLength } from "../text-length.js";
import type { FlatSchema } from "./flat-schema.js";
import { FORMATS } from "./formats.js";
import { ANY_STRING, jsonString, stringOfLength } from "./json-string.js";

/** @throws GrammarError for a format that is not known, or keywords that cannot be honoured together. */
export function stringExpression({ pattern, format, minLength, maxLength, path }: FlatSchema): Expression {
	const min = minLength ?? 0;
	const max = maxLength ?? Number.POSITIVE_INFINITY;
	if (min > max) return NOTHING;
	if (pattern === undefined && format === undefined)
		return min === 0 && max === Number.POSITIVE_INFINITY ? ANY_STRING : stringOfLength(min, max);
	if (pattern !== undefined && format !== undefined)
		throw new GrammarError(`pattern and format at ${path} cannot be honoured together; keep one`);
	const value =
		pattern === undefined ? formatExpression(format!, path) : located(path, () => parseSearch(pattern));
	const [shortest, longest] = textLength(value);
	const broken = shortest < min ? "minLength" : longest > max ? "maxLength" : null;
	if (broken)
		throw new GrammarError(
			`${broken} at ${path} cannot be honoured beside ${pattern === undefined ? "format" : "a pattern that allows other lengths"}; put the length into a pattern that begins with ^ and ends with $`,
		);
	return jsonString(value);
}

function formatExpression(format: string, path: string): Expression {
	const known = Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
	if (known === undefined)
		throw new GrammarError(
			`the format ${JSON.stringify(format.slice(0, 100))} at ${path} cannot be honoured; known are ${Object.keys(FORMATS).join(", ")}`,
		);
	return parseRegex(known);
}

function located<T>(path: string, make: () => T): T {
	try {
		return make();
	} catch (error) {
		if (error instanceof GrammarError) throw new GrammarError(`pattern at ${path}: ${error.message}`);
		throw error;
	}
}
