// SPDX-License-Identifier: Apache-2.0
import { choice, EMPTY, type Expression, NOTHING, repeat, sequence, text } from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import type { FlatSchema, Subschema } from "./flat-schema.js";
import { another, enclosed } from "./json-value.js";

const MAX_PREFIX = 256;

/** @param expressionOf the expression of an item's schema */
export function arrayExpression(
	{ prefixItems = [], items, minItems = 0, maxItems = Number.POSITIVE_INFINITY, path }: FlatSchema,
	expressionOf: (item: Subschema) => Expression,
): Expression {
	if (prefixItems.length > MAX_PREFIX)
		throw new GrammarError(`prefixItems at ${path} has more than ${MAX_PREFIX} schemas`);
	const fixed = prefixItems.slice(0, maxItems).map(expressionOf);
	// What nobody described after a described beginning is not written unless it has to be.
	const others: Subschema | null =
		items ?? (fixed.length > 0 && minItems <= fixed.length ? null : { schema: true, path });
	let tail: Expression = EMPTY;
	const least = Math.max(0, minItems - fixed.length);
	const most = Math.max(0, maxItems - fixed.length);
	if (others && others.schema !== false && most > 0) {
		if (least > most) return NOTHING;
		tail = repeat(another(expressionOf(others)), least, most);
	} else if (least > 0) return NOTHING;

	if (fixed.length === 0) {
		if (tail === EMPTY) return text("[]");
		const item = expressionOf(others!);
		const list = enclosed("[", sequence(item, repeat(another(item), Math.max(0, least - 1), most - 1)), "]");
		return least === 0 ? choice(text("[]"), list) : list;
	}
	for (let index = fixed.length - 1; index >= 1; index--) {
		const here = sequence(another(fixed[index]!), tail);
		tail = index >= minItems ? choice(EMPTY, here) : here;
	}
	const list = enclosed("[", sequence(fixed[0]!, tail), "]");
	return minItems === 0 ? choice(text("[]"), list) : list;
}
