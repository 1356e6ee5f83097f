// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

export type JsonObject = Readonly<Record<string, unknown>>;

/** Reads typed fields out of untrusted JSON; every complaint is a MODEL_FORMAT that names the file and the field. */
export class JsonReader {
	readonly source: string;

	constructor(source: string) {
		this.source = source;
	}

	fail(what: string): never {
		throw new DynError("MODEL_FORMAT", `${this.source}: ${what}`);
	}

	object(value: unknown, where: string): JsonObject {
		if (typeof value !== "object" || value === null || Array.isArray(value))
			this.fail(`${where} must be an object`);
		return value as JsonObject;
	}

	array(value: unknown, where: string): readonly unknown[] {
		if (!Array.isArray(value)) this.fail(`${where} must be an array`);
		return value;
	}

	string(value: unknown, where: string): string {
		if (typeof value !== "string") this.fail(`${where} must be a string`);
		return value;
	}

	/** `undefined` and `null` read as `fallback`. */
	boolean(value: unknown, where: string, fallback: boolean): boolean {
		if (value === undefined || value === null) return fallback;
		if (typeof value !== "boolean") this.fail(`${where} must be true or false`);
		return value;
	}

	/**
	 * A token id. 2^24 is far above every real vocabulary and keeps the tables small.
	 * @param where as a function where there are very many, for only a bad one to be described
	 */
	tokenId(value: unknown, where: string | (() => string)): number {
		if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value >= 1 << 24)
			this.fail(
				`${typeof where === "string" ? where : where()} must be a token id, a whole number below 2^24`,
			);
		return value;
	}

	oneOf<T extends string>(value: unknown, where: string, allowed: readonly T[]): T {
		if (!allowed.includes(value as T))
			this.fail(`${where} is ${shown(value)}; supported: ${allowed.join(", ")}`);
		return value as T;
	}
}

/** A value in an error message: of what nests, only what it is. */
function shown(value: unknown): string {
	if (value === undefined) return "missing";
	return typeof value === "object" && value !== null ? "no text" : JSON.stringify(value).slice(0, 80);
}
