// SPDX-License-Identifier: Apache-2.0
import { GrammarError } from "../grammar-error.js";
import { isObject, type SchemaObject } from "../json/keywords.js";

const MAX_LIST = 500;

export function textIn(format: SchemaObject, field: string, path: string): string {
	const value = format[field];
	if (typeof value === "string") return value;
	throw new GrammarError(`${path}.${field} of the structural tag must be a string`);
}

export function textsIn(format: SchemaObject, field: string, path: string): readonly string[] {
	const value = format[field];
	if (isList(value) && value.every((one) => typeof one === "string")) return value as string[];
	throw new GrammarError(
		`${path}.${field} of the structural tag must be an array of 1 to ${MAX_LIST} strings`,
	);
}

export function formatsIn(format: SchemaObject, field: string, path: string): readonly SchemaObject[] {
	const value = format[field];
	if (isList(value) && value.every(isObject)) return value as SchemaObject[];
	throw new GrammarError(
		`${path}.${field} of the structural tag must be an array of 1 to ${MAX_LIST} objects`,
	);
}

export function flagIn(format: SchemaObject, field: string, path: string): boolean {
	const value = format[field] ?? false;
	if (typeof value === "boolean") return value;
	throw new GrammarError(`${path}.${field} of the structural tag must be true or false`);
}

function isList(value: unknown): value is readonly unknown[] {
	return Array.isArray(value) && value.length > 0 && value.length <= MAX_LIST;
}
