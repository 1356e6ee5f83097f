// SPDX-License-Identifier: Apache-2.0
import { choice, type Expression, NOTHING, rule, sequence, text } from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import type { FlatSchema, Subschema } from "./flat-schema.js";
import { keyOtherThan } from "./json-string.js";
import { another, pair, SPACE } from "./json-value.js";

const MAX_PROPERTIES = 2_000;
const MAX_NAME = 500;
/** Bounds properties times counts. */
const MAX_RULES = 50_000;

/** Where the rules of an object go, and how its values' schemas become expressions. */
export interface ObjectContext {
	expressionOf(schema: Subschema): Expression;
	/** A new name for rules of this object. */
	newName(): string;
	define(name: string, expression: Expression): void;
}

interface Property {
	readonly name: string;
	readonly schema: Subschema;
	readonly required: boolean;
}

/**
 * An object's properties in the order in which the schema declares them, those that are not required left out at will,
 * then others if they are welcome. Others are welcome when the schema says so or declares none: nobody who lists
 * properties wants a model to make up more.
 */
export function objectExpression(schema: FlatSchema, context: ObjectContext): Expression {
	const { minProperties: min = 0, maxProperties: max = Number.POSITIVE_INFINITY, path } = schema;
	const others = schema.additionalProperties ?? { schema: !schema.properties, path };
	const properties = declaredProperties(schema);
	const open = others.schema !== false;
	if (open && min > 1 && min > properties.filter(({ required }) => required).length)
		throw new GrammarError(
			`minProperties at ${path} cannot be honoured where names are free, since a name may come twice; list the properties or make them required`,
		);
	const cap = Math.max(1, min, max === Number.POSITIVE_INFINITY ? 0 : max);
	if (properties.length > MAX_PROPERTIES || (properties.length + 1) * (cap + 1) > MAX_RULES)
		throw new GrammarError(`the object at ${path} has too many properties, or counts too many`);

	const base = context.newName();
	const other = open
		? pair(keyOtherThan(properties.map(({ name }) => name)), context.expressionOf(others))
		: NOTHING;
	const values = properties.map(({ name, schema: value }) =>
		pair(text(JSON.stringify(name)), context.expressionOf(value)),
	);
	/** What follows once `count` (the cap: or more) are written and those before `index` are dealt with. */
	const rest = (index: number, count: number): Expression => rule(`${base}:${index}:${count}`);
	const written = (count: number, item: Expression) => (count === 0 ? item : another(item));
	for (let index = 0; index <= properties.length; index++) {
		for (let count = 0; count <= Math.min(cap, index + (index === properties.length ? cap : 0)); count++) {
			const next = Math.min(count + 1, cap);
			const ways: Expression[] = [];
			if (index < properties.length) {
				if (count < max) ways.push(sequence(written(count, values[index]!), rest(index + 1, next)));
				if (!properties[index]!.required) ways.push(rest(index + 1, count));
			} else {
				if (count >= min) ways.push(count === 0 ? text("}") : sequence(SPACE, text("}")));
				if (open && count < max) ways.push(sequence(written(count, other), rest(index, next)));
			}
			context.define(`${base}:${index}:${count}`, choice(...ways));
		}
	}
	return sequence(text("{"), SPACE, rest(0, 0));
}

/** Those of `properties`, then those that are only required. */
function declaredProperties({
	properties,
	required = [],
	additionalProperties,
	path,
}: FlatSchema): Property[] {
	const declared = Array.from(properties ?? [], ([name, schema]) => ({
		name,
		schema,
		required: required.includes(name),
	})).filter((property) => property.required || property.schema.schema !== false);
	const more = [...new Set(required)]
		.filter((name) => !properties?.has(name))
		.map((name) => ({ name, schema: additionalProperties ?? { schema: true, path }, required: true }));
	const all = [...declared, ...more];
	const long = all.find(({ name }) => name.length > MAX_NAME);
	if (long) throw new GrammarError(`a property's name at ${path} has more than ${MAX_NAME} characters`);
	return all;
}
