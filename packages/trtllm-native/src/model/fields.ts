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

	raw(key: string): unknown {
		return this.#values(key);
	}

	wrong(key: string, wanted: string, value: unknown): DynError {
		const found = value === undefined ? "missing" : JSON.stringify(value)?.slice(0, 80);
		return new DynError("MODEL_FORMAT", `${this.#where}: ${key} must be ${wanted}, but is ${found}`, {
			details: { key },
		});
	}
}
