// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";

export type JsonObject = Readonly<Record<string, unknown>>;

/** True for what JSON calls an object. */
export function isObject(value: unknown): value is JsonObject {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads the fields of a JSON object and checks each; what is wrong is named by its full path (`nvext.cache_salt`).
 * null and absent mean the same. `finish` refuses fields that nobody asked for.
 */
export class ObjectReader {
	readonly #object: JsonObject;
	readonly #path: string;
	readonly #read = new Set<string>();

	constructor(object: JsonObject, path = "") {
		this.#object = object;
		this.#path = path;
	}

	path(field: string): string {
		return this.#path ? `${this.#path}.${field}` : field;
	}

	/** The raw value, null when absent. Own properties only: a body cannot reach a prototype. */
	raw(field: string): unknown {
		this.#read.add(field);
		return Object.hasOwn(this.#object, field) ? (this.#object[field] ?? null) : null;
	}

	number(field: string, low: number, high: number, message: (value: number) => string): number | null {
		const value = this.raw(field);
		if (value === null) return null;
		if (typeof value !== "number" || Number.isNaN(value)) throw this.wrongType(field, "a number", value);
		if (!(value >= low && value <= high)) throw invalidArgument(this.path(field), message(value));
		return value;
	}

	integer(field: string, low: number, high: number, message: (value: number) => string): number | null {
		const value = this.number(field, -Infinity, Infinity, message);
		if (value === null) return null;
		if (!Number.isInteger(value)) throw this.wrongType(field, "an integer", value);
		if (value < low || value > high) throw invalidArgument(this.path(field), message(value));
		return value;
	}

	boolean(field: string): boolean | null {
		const value = this.raw(field);
		if (value === null || typeof value === "boolean") return value;
		throw this.wrongType(field, "true or false", value);
	}

	string(field: string): string | null {
		const value = this.raw(field);
		if (value === null || typeof value === "string") return value;
		throw this.wrongType(field, "a string", value);
	}

	object(field: string): ObjectReader | null {
		const value = this.raw(field);
		if (value === null) return null;
		if (!isObject(value)) throw this.wrongType(field, "an object", value);
		return new ObjectReader(value, this.path(field));
	}

	array(field: string): readonly unknown[] | null {
		const value = this.raw(field);
		if (value === null || Array.isArray(value)) return value;
		throw this.wrongType(field, "an array", value);
	}

	/** Refuses a field that is known but not served here, unless its value asks for nothing. */
	notServed(field: string, asksForNothing: (value: unknown) => boolean = () => false): void {
		const value = this.raw(field);
		if (value === null || asksForNothing(value)) return;
		throw new DynError("UNIMPLEMENTED", `${this.path(field)} is not supported here; remove it`, {
			details: { param: this.path(field) },
		});
	}

	/** @throws when the object has fields that were not read */
	finish(): void {
		const unknown = Object.keys(this.#object).filter((field) => !this.#read.has(field));
		if (unknown.length === 0) return;
		const shown = unknown.slice(0, 8).map((field) => `\`${this.path(field).slice(0, 64)}\``);
		throw invalidArgument(
			this.path(unknown[0]!.slice(0, 64)),
			`Unsupported parameter(s): ${shown.join(", ")}`,
		);
	}

	wrongType(field: string, wanted: string, value: unknown): DynError {
		const found = Array.isArray(value)
			? "an array"
			: value === null
				? "null"
				: typeof value === "object"
					? "an object"
					: typeof value === "number"
						? String(value)
						: `a ${typeof value}`;
		return invalidArgument(this.path(field), `${this.path(field)} must be ${wanted}, got ${found}`);
	}
}
