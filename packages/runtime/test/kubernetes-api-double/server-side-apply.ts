// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from "node:util";
import { isMap, type Json, type Resource } from "./kinds.js";

/**
 * Server-side apply by one manager: fields in `applied` are set, and those that the manager applied before (`previous`) and
 * does not now are removed; fields of others stay. Maps are merged field by field, owner references by uid, other lists
 * are one value, as for resources without a schema.
 */
export function applyFields(current: Resource, previous: Json, applied: Json): Resource {
	return merge(current, previous, applied) as Resource;
}

function merge(current: unknown, previous: unknown, applied: unknown): unknown {
	if (!isMap(applied)) return isOwners(applied) ? mergeOwners(current, previous, applied) : applied;
	const before = isMap(previous) ? previous : {};
	const merged: Json = isMap(current) ? { ...current } : {};
	for (const key of Object.keys(before)) if (!(key in applied)) delete merged[key];
	for (const [key, value] of Object.entries(applied)) merged[key] = merge(merged[key], before[key], value);
	return merged;
}

function isOwners(value: unknown): value is Json[] {
	return (
		Array.isArray(value) &&
		value.length > 0 &&
		value.every((each) => isMap(each) && "uid" in each && "kind" in each)
	);
}

function mergeOwners(current: unknown, previous: unknown, applied: Json[]): Json[] {
	const dropped = new Set(isOwners(previous) ? previous.map(({ uid }) => uid) : []);
	for (const { uid } of applied) dropped.add(uid);
	const others = isOwners(current) ? current.filter(({ uid }) => !dropped.has(uid)) : [];
	return [...others, ...applied];
}

/** Paths that another manager has set to another value: a conflict unless the apply is forced. */
export function conflicts(current: unknown, previous: unknown, applied: unknown, path = ""): string[] {
	if (isMap(applied))
		return Object.entries(applied).flatMap(([key, value]) =>
			conflicts(
				isMap(current) ? current[key] : undefined,
				isMap(previous) ? previous[key] : undefined,
				value,
				`${path}.${key}`,
			),
		);
	const mine = previous !== undefined || current === undefined;
	return mine || isDeepStrictEqual(current, applied) ? [] : [path];
}
