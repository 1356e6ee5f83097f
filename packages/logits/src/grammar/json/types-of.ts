// SPDX-License-Identifier: Apache-2.0
import type { FlatSchema } from "./flat-schema.js";
import { type JsonType, TYPES } from "./keywords.js";

/** Keywords that say something about one type only. */
const ABOUT: Readonly<Partial<Record<JsonType, readonly (keyof FlatSchema)[]>>> = {
	string: ["minLength", "maxLength", "pattern", "format"],
	number: ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
	array: ["minItems", "maxItems", "prefixItems", "items"],
	object: ["properties", "required", "additionalProperties", "minProperties", "maxProperties"],
};

/**
 * Types that are written for a schema: those that it names, else those that its keywords are about ("properties" alone
 * allows numbers too, but nobody means that), else all. An integer is written as a number where both are allowed.
 */
export function typesOf(schema: FlatSchema): readonly JsonType[] {
	if (schema.values) return [...new Set(schema.values.map(typeOfValue))];
	const types = schema.types ?? TYPES.filter((type) => ABOUT[type]?.some((key) => schema[key] !== undefined));
	const chosen = types.length > 0 ? types : TYPES;
	return chosen.filter((type) => type !== "integer" || !chosen.includes("number"));
}

export function typeOfValue(value: unknown): JsonType {
	if (value === null) return "null";
	if (Array.isArray(value)) return "array";
	if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
	return typeof value as JsonType;
}
