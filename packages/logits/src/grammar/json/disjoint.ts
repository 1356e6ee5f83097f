// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "../grammar-error.js";
import { commonTypes, type FlatSchema, sameJson } from "./flat-schema.js";
import { TYPES } from "./keywords.js";
import { typesOf } from "./types-of.js";

/**
 * oneOf means exactly one. What is written by one branch must not satisfy another, and a grammar cannot look back:
 * so the branches have to differ visibly.
 * @param written each branch, with what stands beside oneOf
 * @param branches each branch alone
 * @throws GrammarError naming two branches that may overlap.
 */
export function checkDisjoint(
	written: readonly (readonly FlatSchema[])[],
	branches: readonly (readonly FlatSchema[])[],
	path: string,
): void {
	for (const [i, ways] of written.entries())
		for (const [j, others] of branches.entries())
			if (i !== j && ways.some((way) => others.some((other) => mayOverlap(way, other))))
				throw new GrammarError(
					`oneOf at ${path} cannot be honoured: one value may satisfy both branch ${i} and branch ${j}; tell them apart by type or by a required property with a const, or use anyOf`,
				);
}

/** Whether what is written for `way` may satisfy `other` too. */
function mayOverlap(way: FlatSchema, other: FlatSchema): boolean {
	if (way.values && other.values)
		return way.values.some((value) => other.values!.some((one) => sameJson(value, one)));
	// Without "type" a keyword allows everything that it is not about.
	const types = commonTypes(typesOf(way), other.values ? typesOf(other) : (other.types ?? TYPES));
	if (types.length === 0) return false;
	if (types.some((type) => type !== "object")) return true;
	return !(
		differsInValue(way, other) ||
		(other.required ?? []).some((name) => !mayHave(way, name)) ||
		(way.required ?? []).some((name) => isForbidden(other, name))
	);
}

/** Whether both require a property that has other values here and there. */
function differsInValue(way: FlatSchema, other: FlatSchema): boolean {
	return (way.required ?? []).some((name) => {
		if (!other.properties?.has(name)) return false;
		const [mine, theirs] = [valuesOf(way, name), valuesOf(other, name)];
		return mine && theirs && !mine.some((value) => theirs.some((one) => sameJson(value, one)));
	});
}

function valuesOf({ properties }: FlatSchema, name: string): readonly unknown[] | null {
	const schema = properties?.get(name)?.schema as { const?: unknown; enum?: unknown } | boolean | undefined;
	if (typeof schema !== "object") return null;
	if (Object.hasOwn(schema, "const")) return [schema.const];
	return Array.isArray(schema.enum) ? schema.enum : null;
}

/** Whether such an object is ever written with this property: one that is not declared is only where others are welcome. */
function mayHave({ properties, required, additionalProperties }: FlatSchema, name: string): boolean {
	if (properties?.has(name)) return properties.get(name)!.schema !== false;
	if (required?.includes(name)) return true;
	return additionalProperties ? additionalProperties.schema !== false : !properties;
}

function isForbidden({ properties, additionalProperties }: FlatSchema, name: string): boolean {
	const own = properties?.get(name);
	return own ? own.schema === false : additionalProperties?.schema === false;
}
