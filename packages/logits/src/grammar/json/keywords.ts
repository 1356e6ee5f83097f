// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "../grammar-error.js";

export type SchemaObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is SchemaObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
export type JsonType = (typeof TYPES)[number];

/** They describe, and forbid nothing. */
const ANNOTATIONS = new Set([
	"$comment",
	"$defs",
	"$schema",
	"definitions",
	"title",
	"description",
	"default",
	"examples",
	"example",
	"deprecated",
	"readOnly",
	"writeOnly",
	"contentEncoding",
	"contentMediaType",
]);

const isSchema = (value: unknown) => typeof value === "boolean" || isObject(value);
const isSchemas = (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(isSchema);
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isNumber = (value: unknown) => typeof value === "number";
const isString = (value: unknown) => typeof value === "string";
const isBoolean = (value: unknown) => typeof value === "boolean";
const isType = (value: unknown) => TYPES.includes(value as JsonType);

/** Every keyword that is honoured, and what its value must be. */
const KEYWORDS: Readonly<Record<string, readonly [string, (value: unknown) => boolean]>> = {
	$ref: ["a string", isString],
	allOf: ["an array of schemas", isSchemas],
	anyOf: ["an array of schemas", isSchemas],
	oneOf: ["an array of schemas", isSchemas],
	type: [
		"one or more of the seven types",
		(value) => isType(value) || (Array.isArray(value) && value.length > 0 && value.every(isType)),
	],
	const: ["a value", () => true],
	enum: ["an array that is not empty", (value) => Array.isArray(value) && value.length > 0],
	minLength: ["a count", isCount],
	maxLength: ["a count", isCount],
	pattern: ["a string", isString],
	format: ["a string", isString],
	minimum: ["a number", isNumber],
	maximum: ["a number", isNumber],
	exclusiveMinimum: ["a number", isNumber],
	exclusiveMaximum: ["a number", isNumber],
	minItems: ["a count", isCount],
	maxItems: ["a count", isCount],
	prefixItems: ["an array of schemas", isSchemas],
	items: ["a schema", (value) => isSchema(value) || isSchemas(value)],
	additionalItems: ["a schema", isSchema],
	unevaluatedItems: ["a boolean", isBoolean],
	properties: ["an object of schemas", (value) => isObject(value) && Object.values(value).every(isSchema)],
	required: ["an array of strings", (value) => Array.isArray(value) && value.every(isString)],
	additionalProperties: ["a schema", isSchema],
	unevaluatedProperties: ["a boolean", isBoolean],
	minProperties: ["a count", isCount],
	maxProperties: ["a count", isCount],
};

/** Keywords that forbid nothing with this value. */
const HARMLESS: Readonly<Record<string, (value: unknown) => boolean>> = {
	uniqueItems: (value) => value === false,
	nullable: (value) => value === false,
	multipleOf: () => false,
};

/**
 * Checks every keyword of one schema object, not of those within.
 * @throws GrammarError naming a keyword that cannot be honoured, or whose value is not what it must be.
 */
export function checkKeywords(schema: SchemaObject, path: string): void {
	for (const [keyword, value] of Object.entries(schema)) {
		if (ANNOTATIONS.has(keyword) || keyword.startsWith("x-")) continue;
		if (keyword === "$id" && path === "#") continue;
		if (Object.hasOwn(HARMLESS, keyword) && HARMLESS[keyword]!(value)) continue;
		if (!Object.hasOwn(KEYWORDS, keyword))
			throw new GrammarError(
				`the keyword ${JSON.stringify(keyword.slice(0, 100))} at ${path} cannot be honoured; leave it out`,
			);
		const [expected, isValid] = KEYWORDS[keyword]!;
		if (!isValid(value)) throw new GrammarError(`${keyword} at ${path} must be ${expected}`);
	}
}

/** Whether nothing but annotations stands beside `keyword`. */
export function isAlone(schema: SchemaObject, keyword: string): boolean {
	return Object.keys(schema).every(
		(other) => other === keyword || ANNOTATIONS.has(other) || other.startsWith("x-") || other === "$id",
	);
}

/** A path's next step, escaped as in a JSON pointer. */
export function within(path: string, ...steps: readonly (string | number)[]): string {
	return [path, ...steps.map((step) => String(step).replaceAll("~", "~0").replaceAll("/", "~1"))].join("/");
}
