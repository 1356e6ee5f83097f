// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { GgufValue } from "../checkpoint/checkpoint.js";

/** Typed reads of a GGUF file's metadata; MODEL_FORMAT names the file and the key. */
export class GgufMetadata {
	readonly source: string;
	readonly #values: ReadonlyMap<string, GgufValue>;

	constructor(source: string, values: ReadonlyMap<string, GgufValue>) {
		this.source = source;
		this.#values = values;
	}

	fail(what: string): never {
		throw new DynError("MODEL_FORMAT", `${this.source}: ${what}`);
	}

	string(key: string): string | undefined {
		const value = this.#values.get(key);
		if (value !== undefined && typeof value !== "string") this.fail(`${key} must be a string`);
		return value;
	}

	boolean(key: string, fallback: boolean): boolean {
		const value = this.#values.get(key) ?? fallback;
		if (typeof value !== "boolean") this.fail(`${key} must be a boolean`);
		return value;
	}

	/** A whole number of at least 1. */
	count(key: string, fallback?: number): number {
		const value = this.#number(key, fallback);
		if (!Number.isSafeInteger(value) || value < 1) this.fail(`${key} is ${value}, not a positive integer`);
		return value;
	}

	/** A finite number above 0. */
	positive(key: string, fallback?: number): number {
		const value = this.#number(key, fallback);
		if (!(value > 0 && value < Number.POSITIVE_INFINITY)) this.fail(`${key} is ${value}, not above 0`);
		return value;
	}

	/** A token id that lies in a vocabulary of `size` tokens. */
	tokenId(key: string, size: number): number | undefined {
		const value = this.#values.get(key);
		if (value === undefined) return undefined;
		const id = Number(value);
		if (!Number.isInteger(id) || id < 0 || id >= size)
			this.fail(`${key} is ${String(value)}, not one of ${size} tokens`);
		return id;
	}

	strings(key: string): readonly string[] {
		return this.#array(key).map((value, index) => {
			if (typeof value !== "string") this.fail(`${key}[${index}] must be a string`);
			return value;
		});
	}

	/** `length` numbers. */
	numbers(key: string, length: number): readonly number[] {
		const values = this.#array(key);
		if (values.length !== length) this.fail(`${key} has ${values.length} entries instead of ${length}`);
		return values.map((value, index) => {
			if (typeof value !== "number") this.fail(`${key}[${index}] must be a number`);
			return value;
		});
	}

	has(key: string): boolean {
		return this.#values.has(key);
	}

	#number(key: string, fallback: number | undefined): number {
		const value = this.#values.get(key) ?? fallback;
		if (typeof value !== "number")
			this.fail(value === undefined ? `${key} is missing` : `${key} must be a number`);
		return value;
	}

	#array(key: string): readonly GgufValue[] {
		const value = this.#values.get(key);
		if (!Array.isArray(value))
			this.fail(value === undefined ? `${key} is missing` : `${key} must be an array`);
		return value as readonly GgufValue[];
	}
}
