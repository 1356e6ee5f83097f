// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";

export type EngineArgs = Readonly<Record<string, unknown>>;

/**
 * Engine arguments in Dynamo's order: flags, then the YAML file (`extra`), then the JSON override, merged deeply.
 * Every value that an override replaces is logged with its dotted path.
 */
export function mergeEngineArgs(
	base: EngineArgs,
	extra: EngineArgs,
	override: EngineArgs,
	logger: Logger,
): EngineArgs {
	const replaced = (path: string, by: string) =>
		logger.warn("engine argument replaced", { argument: path, by });
	const merged = mergeDeep(base, extra, "", (path) => replaced(path, "extra engine args"));
	return mergeDeep(merged, override, "", (path) => replaced(path, "override engine args"));
}

function mergeDeep(
	base: EngineArgs,
	over: EngineArgs,
	prefix: string,
	onReplace: (path: string) => void,
): EngineArgs {
	const result: Record<string, unknown> = { ...base };
	for (const [key, value] of Object.entries(over)) {
		const path = prefix ? `${prefix}.${key}` : key;
		const current = result[key];
		if (isPlain(current) && isPlain(value)) result[key] = mergeDeep(current, value, path, onReplace);
		else {
			if (current !== undefined && current !== value) onReplace(path);
			result[key] = value;
		}
	}
	return result;
}

function isPlain(value: unknown): value is EngineArgs {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @throws DynError INVALID_ARGUMENT when the file is missing or not a YAML mapping */
export async function loadEngineArgs(path: string): Promise<EngineArgs> {
	const { readFile } = await import("node:fs/promises");
	const { parse } = await import("yaml");
	let value: unknown;
	try {
		value = parse(await readFile(path, "utf8")) ?? {};
	} catch (error) {
		throw new DynError(
			"INVALID_ARGUMENT",
			`cannot read engine arguments from ${path}: ${(error as Error).message}`,
			{ cause: error },
		);
	}
	if (!isPlain(value))
		throw new DynError("INVALID_ARGUMENT", `${path} must hold a YAML mapping of engine arguments`);
	return value;
}
