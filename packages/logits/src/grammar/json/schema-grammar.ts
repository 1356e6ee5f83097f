// SPDX-License-Identifier: Apache-2.0
import { choice, type Expression, type Grammar, NOTHING, rule, text } from "../expression.js";
import { GrammarError } from "../grammar-error.js";
import { arrayExpression } from "./array-expression.js";
import { commonTypes, type FlatSchema, type Subschema } from "./flat-schema.js";
import { SchemaFlattener } from "./flatten-schema.js";
import { ANY_INTEGER, ANY_NUMBER, ANY_VALUE, JSON_RULES } from "./json-value.js";
import { isAlone, isObject, type JsonType, type SchemaObject } from "./keywords.js";
import { numberBetween } from "./number-range.js";
import { objectExpression } from "./object-expression.js";
import { stringExpression } from "./string-expression.js";
import { typeOfValue, typesOf } from "./types-of.js";

const MAX_NESTING = 100;
const MAX_RULES = 100_000;

/**
 * Texts of JSON that satisfy a JSON Schema (2020-12, and draft 7 where it is the same). Every text of the grammar
 * satisfies the schema; not every text that does is in the grammar (properties keep their order, for instance).
 * @param schema as JSON text
 * @throws GrammarError naming what is malformed, or a keyword that cannot be honoured: none is ignored.
 */
export function schemaGrammar(schema: string): Grammar {
	let document: unknown;
	try {
		document = JSON.parse(schema);
	} catch (error) {
		throw new GrammarError(`the schema is no JSON: ${(error as Error).message}`);
	}
	checkNesting(document);
	return new SchemaConverter(document).convert();
}

class SchemaConverter {
	readonly #document: unknown;
	readonly #flattener: SchemaFlattener;
	readonly #rules = new Map(JSON_RULES);
	/** Rules of schemas that were met, by reference or by what they say: schemas may contain themselves. */
	readonly #known = new Map<string, Expression>();
	readonly #unbuilt: { readonly name: string; readonly schema: FlatSchema }[] = [];
	#names = 0;

	constructor(document: unknown) {
		this.#document = document;
		this.#flattener = new SchemaFlattener(document);
	}

	convert(): Grammar {
		const start = this.#expressionOf({ schema: this.#document, path: "#" });
		for (let next = this.#unbuilt.pop(); next; next = this.#unbuilt.pop())
			this.#define(next.name, this.#build(next.schema));
		return { rules: this.#rules, start };
	}

	#define(name: string, expression: Expression): void {
		if (this.#rules.size >= MAX_RULES) throw new GrammarError("the schema is too large");
		this.#rules.set(name, expression);
	}

	#expressionOf(subschema: Subschema): Expression {
		const { schema, path } = subschema;
		if (schema === true) return ANY_VALUE;
		if (isObject(schema) && typeof schema["$ref"] === "string" && isAlone(schema, "$ref")) {
			const target = this.#flattener.resolve(schema["$ref"], path);
			return this.#once(`$ref ${target.path}`, () => this.#ways(target));
		}
		return this.#ways(subschema);
	}

	#ways(subschema: Subschema): Expression {
		const ways = this.#flattener.flatten(subschema);
		return choice(...ways.map((way) => this.#way(way)));
	}

	#way(schema: FlatSchema): Expression {
		const { path: _, ...says } = schema;
		if (Object.keys(says).length === 0) return ANY_VALUE;
		const composite = typesOf(schema).some((type) => type === "object" || type === "array");
		if (!composite || schema.values) return this.#build(schema);
		const key = JSON.stringify(says, (_key, value: unknown) =>
			value instanceof Map ? [...value] : withoutPath(value),
		);
		return this.#once(key, (name) => {
			this.#unbuilt.push({ name, schema });
			return null;
		});
	}

	/** The rule of what `key` says; `make` gives its expression, or null if that comes later. */
	#once(key: string, make: (name: string) => Expression | null): Expression {
		const known = this.#known.get(key);
		if (known) return known;
		const name = this.#newName();
		const reference = rule(name);
		this.#known.set(key, reference);
		const expression = make(name);
		if (expression) this.#define(name, expression);
		return reference;
	}

	#newName(): string {
		return `#${this.#names++}`;
	}

	#build(schema: FlatSchema): Expression {
		if (schema.values) return valuesExpression(schema, schema.values);
		return choice(...typesOf(schema).map((type) => this.#typed(type, schema)));
	}

	#typed(type: JsonType, schema: FlatSchema): Expression {
		switch (type) {
			case "null":
				return text("null");
			case "boolean":
				return choice(text("true"), text("false"));
			case "integer":
			case "number":
				return numberExpression(type, schema);
			case "string":
				return stringExpression(schema);
			case "array":
				return arrayExpression(schema, (item) => this.#expressionOf(item));
			case "object":
				return objectExpression(schema, {
					expressionOf: (property) => this.#expressionOf(property),
					newName: () => this.#newName(),
					define: (name, expression) => this.#define(name, expression),
				});
		}
	}
}

function numberExpression(type: "integer" | "number", schema: FlatSchema): Expression {
	const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, path } = schema;
	const lowExcluded = exclusiveMinimum !== undefined && exclusiveMinimum >= (minimum ?? -Infinity);
	const highExcluded = exclusiveMaximum !== undefined && exclusiveMaximum <= (maximum ?? Infinity);
	const low = (lowExcluded ? exclusiveMinimum : minimum) ?? null;
	const high = (highExcluded ? exclusiveMaximum : maximum) ?? null;
	if (low === null && high === null) return type === "integer" ? ANY_INTEGER : ANY_NUMBER;
	try {
		return numberBetween({ low, high, lowExcluded, highExcluded, integer: type === "integer" });
	} catch (error) {
		if (error instanceof GrammarError)
			throw new GrammarError(`minimum or maximum at ${path}: ${error.message}`);
		throw error;
	}
}

/** The values of an enum or const, as JSON.stringify writes them. */
function valuesExpression(schema: FlatSchema, values: readonly unknown[]): Expression {
	const { path, types, values: _, ...others } = schema;
	const [beside] = Object.keys(others);
	if (beside !== undefined)
		throw new GrammarError(`${beside} at ${path} cannot be honoured beside enum or const; leave it out`);
	const allowed = values.filter((value) => !types || commonTypes(types, [typeOfValue(value)]).length > 0);
	return allowed.length === 0 ? NOTHING : choice(...allowed.map((value) => text(JSON.stringify(value))));
}

function withoutPath(value: unknown): unknown {
	if (!isObject(value) || !("path" in value) || !("schema" in value)) return value;
	return { schema: (value as SchemaObject)["schema"] };
}

/** Deep documents are refused before anything walks them by recursion. */
function checkNesting(document: unknown): void {
	let level: unknown[] = [document];
	for (let depth = 0; level.length > 0; depth++) {
		if (depth > MAX_NESTING)
			throw new GrammarError(`the schema is nested more than ${MAX_NESTING} levels deep; use $ref`);
		level = level.flatMap((value) =>
			typeof value === "object" && value !== null ? Object.values(value) : [],
		);
	}
}
