// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "../grammar-error.js";
import type { JsonType, SchemaObject } from "./keywords.js";

/** A subschema, and where it was written. */
export interface Subschema {
	readonly schema: unknown;
	readonly path: string;
}

/** A schema without references and combinations: all of this must hold. Absent: not limited. */
export interface FlatSchema {
	readonly path: string;
	readonly types?: readonly JsonType[];
	readonly values?: readonly unknown[];
	readonly minLength?: number;
	readonly maxLength?: number;
	readonly pattern?: string;
	readonly format?: string;
	readonly minimum?: number;
	readonly maximum?: number;
	readonly exclusiveMinimum?: number;
	readonly exclusiveMaximum?: number;
	readonly minItems?: number;
	readonly maxItems?: number;
	readonly prefixItems?: readonly Subschema[];
	/** Items after those. */
	readonly items?: Subschema;
	readonly properties?: ReadonlyMap<string, Subschema>;
	readonly required?: readonly string[];
	readonly additionalProperties?: Subschema;
	readonly minProperties?: number;
	readonly maxProperties?: number;
}

/** Both at once; null when no value can satisfy both. */
export function mergeFlat(a: FlatSchema, b: FlatSchema): FlatSchema | null {
	const types = a.types && b.types ? commonTypes(a.types, b.types) : (a.types ?? b.types);
	const values =
		a.values && b.values
			? a.values.filter((value) => b.values!.some((other) => sameJson(value, other)))
			: (a.values ?? b.values);
	if (types?.length === 0 || values?.length === 0) return null;
	const larger = (key: "minLength" | "minimum" | "exclusiveMinimum" | "minItems" | "minProperties") =>
		entry(key, most(a[key], b[key], Math.max));
	const smaller = (key: "maxLength" | "maximum" | "exclusiveMaximum" | "maxItems" | "maxProperties") =>
		entry(key, most(a[key], b[key], Math.min));
	return {
		path: a.path,
		...entry("types", types),
		...entry("values", values),
		...larger("minLength"),
		...smaller("maxLength"),
		...entry("pattern", onlyOne("pattern", a, b)),
		...entry("format", onlyOne("format", a, b)),
		...larger("minimum"),
		...smaller("maximum"),
		...larger("exclusiveMinimum"),
		...smaller("exclusiveMaximum"),
		...larger("minItems"),
		...smaller("maxItems"),
		...mergeItems(a, b),
		...mergeProperties(a, b),
		...entry(
			"required",
			a.required || b.required ? [...new Set([...(a.required ?? []), ...(b.required ?? [])])] : undefined,
		),
		...larger("minProperties"),
		...smaller("maxProperties"),
	};
}

function mergeItems(a: FlatSchema, b: FlatSchema): Pick<FlatSchema, "prefixItems" | "items"> {
	const prefix = Array.from(
		{ length: Math.max(a.prefixItems?.length ?? 0, b.prefixItems?.length ?? 0) },
		(_, index) => bothOf(a.prefixItems?.[index] ?? a.items, b.prefixItems?.[index] ?? b.items)!,
	);
	return {
		...entry("prefixItems", prefix.length > 0 ? prefix : undefined),
		...entry("items", bothOf(a.items, b.items)),
	};
}

function mergeProperties(
	a: FlatSchema,
	b: FlatSchema,
): Pick<FlatSchema, "properties" | "additionalProperties"> {
	const names = new Set([...(a.properties?.keys() ?? []), ...(b.properties?.keys() ?? [])]);
	const properties = new Map(
		Array.from(names, (name) => [
			name,
			bothOf(
				a.properties?.get(name) ?? a.additionalProperties,
				b.properties?.get(name) ?? b.additionalProperties,
			)!,
		]),
	);
	return {
		...entry("properties", a.properties || b.properties ? properties : undefined),
		...entry("additionalProperties", bothOf(a.additionalProperties, b.additionalProperties)),
	};
}

function bothOf(a: Subschema | undefined, b: Subschema | undefined): Subschema | undefined {
	if (!a || !b) return a ?? b;
	if (sameJson(a.schema, b.schema)) return a;
	return { schema: { allOf: [a.schema, b.schema] } satisfies SchemaObject, path: a.path };
}

function onlyOne(key: "pattern" | "format", a: FlatSchema, b: FlatSchema): string | undefined {
	if (a[key] !== undefined && b[key] !== undefined && a[key] !== b[key])
		throw new GrammarError(`${key} at ${a.path} and at ${b.path} cannot be honoured together; keep one`);
	return a[key] ?? b[key];
}

function most(
	a: number | undefined,
	b: number | undefined,
	pick: (a: number, b: number) => number,
): number | undefined {
	return a === undefined || b === undefined ? (a ?? b) : pick(a, b);
}

/** Every integer is a number. */
export function commonTypes(a: readonly JsonType[], b: readonly JsonType[]): JsonType[] {
	const allows = (types: readonly JsonType[], type: JsonType) =>
		types.includes(type) || (type === "integer" && types.includes("number"));
	return [...new Set([...a.filter((type) => allows(b, type)), ...b.filter((type) => allows(a, type))])];
}

/** Equal as JSON, whatever the order of keys. */
export function sameJson(a: unknown, b: unknown): boolean {
	return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
	return JSON.stringify(value, (_key, inner: unknown) =>
		typeof inner === "object" && inner !== null && !Array.isArray(inner)
			? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
			: inner,
	);
}

function entry<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
	return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]?: V });
}
