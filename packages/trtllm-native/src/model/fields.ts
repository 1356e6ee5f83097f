// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** Reads typed values out of a config.json or GGUF metadata; a wrong or missing one names its key and file. */
export class Fields {
	readonly #values: (key: string) => unknown;
	readonly #where: string;

	constructor(where: string, values: (key: string) => unknown) {
		this.#where = where;
		this.#values = values;
	}

	has(key: string): boolean {
		return this.#values(key) !== undefined && this.#values(key) !== null;
	}

	/** A positive integer; `fallback` when absent. */
	count(key: string, fallback?: number): number {
		const value = this.#values(key) ?? fallback;
		if (typeof value === "number" && Number.isSafeInteger(value) && value > 0) return value;
		throw this.wrong(key, "a positive integer", value);
	}

	/** A finite number above zero; `fallback` when absent. */
	positive(key: string, fallback?: number): number {
		const value = this.#values(key) ?? fallback;
		if (typeof value === "number" && Number.isFinite(value) && value > 0) return value;
		throw this.wrong(key, "a positive number", value);
	}

	flag(key: string, fallback: boolean): boolean {
		const value = this.#values(key) ?? fallback;
		if (typeof value === "boolean") return value;
		throw this.wrong(key, "true or false", value);
	}

	/** One token id or a list of them; [] when absent. */
	ids(key: string): number[] {
		const value = this.#values(key) ?? [];
		const list = Array.isArray(value) ? value : [value];
		if (list.every((id) => Number.isSafeInteger(id) && id >= 0)) return list as number[];
		throw this.wrong(key, "a token id or a list of them", value);
	}

	/** The fields of an object inside; null when absent. */
	object(key: string): Fields | null {
		const value = this.#values(key) ?? null;
		if (value === null) return null;
		if (typeof value !== "object" || Array.isArray(value)) throw this.wrong(key, "an object", value);
		return new Fields(`${this.#where}: ${key}`, (inner) => (value as Record<string, unknown>)[inner]);
	}

	raw(key: string): unknown {
		return this.#values(key);
	}

	/** The error to throw for a value that is none of what is `wanted`. */
	wrong(key: string, wanted: string, value: unknown): DynError {
		return new DynError("MODEL_FORMAT", `${this.#where}: ${key} must be ${wanted}, but is ${shown(value)}`, {
			details: { key },
		});
	}
}

/** A value from a checkpoint in an error message: short, and bigints, which JSON lacks, as numbers. */
export function shown(value: unknown): string {
	if (value === undefined) return "missing";
	let text: string;
	try {
		text = JSON.stringify(value, (_, item: unknown) => (typeof item === "bigint" ? String(item) : item));
	} catch {
		return "a value that nests too deeply"; // a file can hold what JSON.stringify cannot write
	}
	return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
