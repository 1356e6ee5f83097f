// SPDX-License-Identifier: Apache-2.0

// Kubernetes leaves out what is empty, or writes null for it (Go's nil): both read as empty here.

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function objectIn(value: unknown): JsonObject {
	return isObject(value) ? value : {};
}

export function objectsIn(value: unknown): readonly JsonObject[] {
	return Array.isArray(value) ? value.filter(isObject) : [];
}

export function textIn(value: unknown): string | null {
	return typeof value === "string" && value !== "" ? value : null;
}

/** `metadata.name`; empty when there is none. */
export function nameOf(resource: JsonObject): string {
	return textIn(objectIn(resource["metadata"])["name"]) ?? "";
}
