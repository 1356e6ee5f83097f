// SPDX-License-Identifier: Apache-2.0

/** JSON Schema, draft 2020-12. */
export type JsonSchema = { readonly [keyword: string]: unknown };

/** A schema with a name and a version: what is published. The version grows when a document that was valid no longer is. */
export interface NamedSchema {
	/** File name without ".schema.json": "preprocessed-request.v1". */
	readonly name: string;
	readonly schema: JsonSchema;
}

export function named(name: string, version: number, title: string, schema: JsonSchema): NamedSchema {
	const full = `${name}.v${version}`;
	return {
		name: full,
		schema: {
			$schema: "https://json-schema.org/draft/2020-12/schema",
			$id: `urn:dyn:${name}:${version}`,
			title,
			...schema,
		},
	};
}

export const text: JsonSchema = { type: "string" };
export const flag: JsonSchema = { type: "boolean" };
export const anything: JsonSchema = {};

export function number(description?: string): JsonSchema {
	return { type: "number", ...(description ? { description } : {}) };
}

/** An integer `min`..`max`; 64-bit ones are JSON numbers that a double cannot hold. */
export function integer(min: number, max: number | bigint): JsonSchema {
	return { type: "integer", minimum: min, maximum: Number(max) };
}

export const u16: JsonSchema = integer(0, 0xffff);
export const u32: JsonSchema = integer(0, 0xffff_ffff);
export const u64: JsonSchema = { type: "integer", minimum: 0, maximum: 2 ** 64 };

export function list(items: JsonSchema): JsonSchema {
	return { type: "array", items };
}

/** Absent and null mean the same. */
export function orNull(schema: JsonSchema): JsonSchema {
	return { anyOf: [schema, { type: "null" }] };
}

/** An object whose fields are all nullable, but for the required ones. Fields that are not known are skipped. */
export function fields(
	properties: Readonly<Record<string, JsonSchema>>,
	required: readonly string[] = [],
): JsonSchema {
	return {
		type: "object",
		properties: Object.fromEntries(
			Object.entries(properties).map(([name, schema]) => [
				name,
				required.includes(name) ? schema : orNull(schema),
			]),
		),
		...(required.length > 0 ? { required } : {}),
	};
}
