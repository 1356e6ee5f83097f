// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from "node:util";

/** `--name value` pairs over defaults; an unknown name ends the program with its usage. */
export function readOptions<T extends Record<string, string>>(argv: readonly string[], defaults: T): T {
	const options = Object.fromEntries(
		Object.keys(defaults).map((name) => [name, { type: "string" as const }]),
	);
	const { values } = parseArgs({ args: [...argv], options });
	return { ...defaults, ...values } as T;
}

/** "1,8" -> [1, 8]; "" -> []. */
export function numbers(list: string): number[] {
	return list === "" ? [] : list.split(",").map(Number);
}
