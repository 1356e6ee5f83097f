// SPDX-License-Identifier: Apache-2.0
import { DynError, type OptionValue } from "@dyn/common";

/** Options of a command line and the environment by name; what was not given and has no default is absent. */
export type Values = Readonly<Record<string, OptionValue | undefined>>;

/** @throws DynError INVALID_ARGUMENT naming `source` when the text is no JSON object */
export function parseObject(source: string, text: string): Record<string, unknown> {
	try {
		const value: unknown = JSON.parse(text);
		if (typeof value === "object" && value !== null && !Array.isArray(value))
			return value as Record<string, unknown>;
	} catch (error) {
		throw new DynError(
			"INVALID_ARGUMENT",
			`${source} must be a JSON object, but is not JSON: ${(error as Error).message}`,
			{ cause: error },
		);
	}
	throw new DynError("INVALID_ARGUMENT", `${source} must be a JSON object`);
}
