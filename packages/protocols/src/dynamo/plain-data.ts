// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** Reads fields of data that came over a wire. Absent and null are the same; a wrong type is an error that names the field. */
export class PlainData {
	readonly #fields: Readonly<Record<string, unknown>>;
	/** What it is, for messages: "request.routing". */
	readonly where: string;

	/** @throws DynError INVALID_ARGUMENT when `data` is no object */
	constructor(data: unknown, where: string) {
		if (typeof data !== "object" || data === null || Array.isArray(data) || data instanceof Uint8Array)
			throw new DynError("INVALID_ARGUMENT", `${where} must be an object`);
		this.#fields = data as Record<string, unknown>;
		this.where = where;
	}

	/** Of the fields that are there. */
	names(): readonly string[] {
		return Object.keys(this.#fields).filter((name) => this.has(name));
	}

	has(name: string): boolean {
		return this.#fields[name] !== undefined && this.#fields[name] !== null;
	}

	/** Anything but undefined and null, which become null. */
	raw(name: string): unknown {
		return this.#fields[name] ?? null;
	}

	string(name: string): string | null {
		return this.#get(name, "a string", (value): value is string => typeof value === "string");
	}

	/** A number that is not an integer beyond 2^53. */
	number(name: string): number | null {
		return this.#get(name, "a number", (value): value is number => typeof value === "number");
	}

	boolean(name: string): boolean | null {
		return this.#get(name, "a boolean", (value): value is boolean => typeof value === "boolean");
	}

	/** An integer of any size. */
	integer(name: string): bigint | null {
		const value = this.#get(
			name,
			"an integer",
			(each): each is number | bigint => typeof each === "bigint" || Number.isSafeInteger(each),
		);
		return value === null ? null : BigInt(value);
	}

	array(name: string): readonly unknown[] | null {
		return this.#get(name, "an array", (value): value is unknown[] => Array.isArray(value));
	}

	numbers(name: string): readonly number[] | null {
		return this.#get(
			name,
			"an array of numbers",
			(value): value is number[] => Array.isArray(value) && value.every((each) => typeof each === "number"),
		);
	}

	/** An integer 0 .. `max`. */
	unsigned(name: string, max: number): number | null {
		return this.#get(
			name,
			`an integer 0..${max}`,
			(value): value is number =>
				Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max,
		);
	}

	/** Token ids: integers 0 .. 2^32-1. */
	tokenIds(name: string): readonly number[] | null {
		return this.#get(name, "an array of token ids", isTokenIds);
	}

	strings(name: string): readonly string[] | null {
		return this.#get(
			name,
			"an array of strings",
			(value): value is string[] => Array.isArray(value) && value.every((each) => typeof each === "string"),
		);
	}

	/** Fields of an object; of an empty one when it is absent. */
	object(name: string): PlainData {
		return new PlainData(this.#fields[name] ?? {}, `${this.where}.${name}`);
	}

	/** @throws DynError INVALID_ARGUMENT when `value` is null, which is what the other methods give for an absent field */
	required<T>(name: string, value: T | null): T {
		if (value === null) throw new DynError("INVALID_ARGUMENT", `${this.where}.${name} is missing`);
		return value;
	}

	#get<T>(name: string, what: string, is: (value: unknown) => value is T): T | null {
		const value = this.#fields[name];
		if (value === undefined || value === null) return null;
		if (is(value)) return value;
		throw new DynError("INVALID_ARGUMENT", `${this.where}.${name} must be ${what}`);
	}
}

/** Whether it is an array of integers 0 .. 2^32-1. */
export function isTokenIds(value: unknown): value is number[] {
	return Array.isArray(value) && value.every((id) => typeof id === "number" && id >>> 0 === id);
}
