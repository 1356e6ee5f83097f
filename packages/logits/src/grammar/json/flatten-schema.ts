// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "../grammar-error.js";
import { checkDisjoint } from "./disjoint.js";
import { type FlatSchema, mergeFlat, type Subschema } from "./flat-schema.js";
import { checkKeywords, isObject, type JsonType, type SchemaObject, within } from "./keywords.js";

/** Ways in which combinations of combinations may be satisfied. */
const MAX_WAYS = 512;
const MAX_DEPTH = 100;
/** Schemas that are taken apart in all, those that are referred to once for each time. */
const MAX_SCHEMAS = 50_000;

/** Takes schemas of one document apart. */
export class SchemaFlattener {
	readonly #document: unknown;
	#schemas = 0;

	constructor(document: unknown) {
		this.#document = document;
	}

	/**
	 * Every way in which a value may satisfy a schema; none: no value does.
	 * @throws GrammarError naming the keyword that is malformed or cannot be honoured.
	 */
	flatten({ schema, path }: Subschema, depth = 0): FlatSchema[] {
		if (schema === true) return [{ path }];
		if (schema === false) return [];
		if (!isObject(schema)) throw new GrammarError(`the schema at ${path} must be an object or a boolean`);
		if (depth > MAX_DEPTH)
			throw new GrammarError(`the schema at ${path} refers to itself without end, or is nested too deep`);
		if (++this.#schemas > MAX_SCHEMAS)
			throw new GrammarError(`the schema combines more than ${MAX_SCHEMAS} schemas; use fewer references`);
		checkKeywords(schema, path);
		const own = flatKeywords(schema, path);
		let ways = own ? [own] : [];
		const and = (others: readonly FlatSchema[]): void => {
			if (ways.length * others.length > MAX_WAYS)
				throw new GrammarError(`the combinations at ${path} can be satisfied in more than ${MAX_WAYS} ways`);
			ways = ways.flatMap((way) => others.flatMap((other) => mergeFlat(way, other) ?? []));
		};
		const branches = (keyword: string) =>
			((schema[keyword] as readonly unknown[] | undefined) ?? []).map((branch, index) =>
				this.flatten({ schema: branch, path: within(path, keyword, index) }, depth + 1),
			);
		if (schema["$ref"] !== undefined)
			and(this.flatten(this.resolve(schema["$ref"] as string, path), depth + 1));
		for (const part of branches("allOf")) and(part);
		if (schema["anyOf"] !== undefined) and(branches("anyOf").flat());
		if (schema["oneOf"] !== undefined) {
			const parts = branches("oneOf");
			checkDisjoint(
				parts.map((part) => ways.flatMap((way) => part.flatMap((other) => mergeFlat(way, other) ?? []))),
				parts,
				path,
			);
			and(parts.flat());
		}
		return ways;
	}

	/** @throws GrammarError when a reference leads nowhere, or out of the document. */
	resolve(reference: string, path: string): Subschema {
		const lost = () => new GrammarError(`$ref ${JSON.stringify(reference)} at ${path} leads nowhere`);
		if (!reference.startsWith("#"))
			throw new GrammarError(
				`$ref ${JSON.stringify(reference)} at ${path} leads out of the schema; put its target under $defs`,
			);
		if (reference === "#") return { schema: this.#document, path: "#" };
		if (!reference.startsWith("#/")) throw lost();
		let target: unknown = this.#document;
		for (const step of reference.slice(2).split("/")) {
			const key = decoded(step)?.replaceAll("~1", "/").replaceAll("~0", "~");
			if (key === undefined || typeof target !== "object" || target === null || !Object.hasOwn(target, key))
				throw lost();
			target = (target as Record<string, unknown>)[key];
		}
		return { schema: target, path: reference };
	}
}

function decoded(step: string): string | undefined {
	try {
		return decodeURIComponent(step);
	} catch {
		return undefined;
	}
}

/** What a schema object says by itself; null when no value satisfies it. */
function flatKeywords(schema: SchemaObject, path: string): FlatSchema | null {
	const sub = (keyword: string): Subschema => ({ schema: schema[keyword], path: within(path, keyword) });
	const list = (keyword: string): Subschema[] =>
		(schema[keyword] as readonly unknown[]).map((item, index) => ({
			schema: item,
			path: within(path, keyword, index),
		}));
	const flat: Record<string, unknown> = { path };
	for (const keyword of PLAIN) if (schema[keyword] !== undefined) flat[keyword] = schema[keyword];
	const { type, properties, items } = schema;
	if (type !== undefined) flat["types"] = ([type].flat() as JsonType[]).filter((one) => one !== undefined);
	if (properties !== undefined)
		flat["properties"] = new Map(
			Object.entries(properties as SchemaObject).map(([name, property]) => [
				name,
				{ schema: property, path: within(path, "properties", name) },
			]),
		);
	if (schema["additionalProperties"] !== undefined)
		flat["additionalProperties"] = sub("additionalProperties");
	else if (schema["unevaluatedProperties"] === false) refuseUnevaluated(schema, flat, "Properties", path);
	if (Array.isArray(items)) {
		flat["prefixItems"] = list("items"); // draft 7
		if (schema["additionalItems"] !== undefined) flat["items"] = sub("additionalItems");
	} else {
		if (schema["prefixItems"] !== undefined) flat["prefixItems"] = list("prefixItems");
		if (items !== undefined) flat["items"] = sub("items");
		else if (schema["unevaluatedItems"] === false) refuseUnevaluated(schema, flat, "Items", path);
	}
	const plain = flat as unknown as FlatSchema;
	const values = [
		...("const" in schema ? [[schema["const"]]] : []),
		...(schema["enum"] === undefined ? [] : [schema["enum"] as readonly unknown[]]),
	];
	return values.reduce<FlatSchema | null>(
		(sum, some) => sum && mergeFlat(sum, { path, values: some }),
		plain,
	);
}

/** Where nothing is combined, what is not evaluated is what is additional. */
function refuseUnevaluated(
	schema: SchemaObject,
	flat: Record<string, unknown>,
	what: "Properties" | "Items",
	path: string,
): void {
	if (["$ref", "allOf", "anyOf", "oneOf"].some((keyword) => schema[keyword] !== undefined))
		throw new GrammarError(
			`unevaluated${what} at ${path} cannot be honoured beside $ref, allOf, anyOf or oneOf; use additionalProperties or items in its place`,
		);
	flat[what === "Items" ? "items" : "additionalProperties"] = { schema: false, path };
}

const PLAIN = [
	"minLength",
	"maxLength",
	"pattern",
	"format",
	"minimum",
	"maximum",
	"exclusiveMinimum",
	"exclusiveMaximum",
	"minItems",
	"maxItems",
	"required",
	"minProperties",
	"maxProperties",
];
