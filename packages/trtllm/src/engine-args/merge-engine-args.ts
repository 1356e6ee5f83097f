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
	return layerEngineArgs(
		[
			["flags", base],
			["extra engine args", extra],
			["override engine args", override],
		],
		(argument, by) => logger.warn("engine argument replaced", { argument, by }),
	);
}

/**
 * Layers merged deeply, later ones over earlier ones. Only what a layer sets takes part: a field that is undefined is as
 * good as absent, so that nobody's unset default replaces what somebody wrote; null is a value.
 * @param onReplace called with the dotted path of every value that a layer replaces, and that layer's name
 */
export function layerEngineArgs(
	layers: readonly (readonly [name: string, args: EngineArgs])[],
	onReplace: (path: string, by: string) => void,
): EngineArgs {
	let merged: EngineArgs = {};
	for (const [name, args] of layers) merged = mergeDeep(merged, args, "", (path) => onReplace(path, name));
	return merged;
}

function mergeDeep(
	base: EngineArgs,
	over: EngineArgs,
	prefix: string,
	onReplace: (path: string) => void,
): EngineArgs {
	const result: Record<string, unknown> = { ...base };
	for (const [key, value] of Object.entries(over)) {
		if (value === undefined) continue;
		const path = prefix ? `${prefix}.${key}` : key;
		const current = result[key];
		if (isPlain(value)) {
			if (current !== undefined && !isPlain(current)) onReplace(path);
			result[key] = mergeDeep(isPlain(current) ? current : {}, value, path, onReplace);
		} else {
			if (current !== undefined && current !== value) onReplace(path);
			result[key] = value;
		}
	}
	return result;
}

export function isPlain(value: unknown): value is EngineArgs {
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
