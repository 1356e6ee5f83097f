// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import { type EngineArgs, isPlain } from "./merge-engine-args.js";

const PREFIX = "--trtllm.";
const INTEGER = /^[+-]?\d+$/;
const FLOAT = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/**
 * Dynamo's dynamic flags as engine arguments: `--trtllm.kv_cache_config.enable_block_reuse false` is
 * `{ kv_cache_config: { enable_block_reuse: false } }`.
 * @param flags flags and values in turn, or `--trtllm.a.b=value`
 * @throws DynError INVALID_ARGUMENT for a flag of another kind, a missing value, or a path that contradicts an earlier one
 */
export function parseDynamicArgs(flags: readonly string[]): EngineArgs {
	const args: Record<string, unknown> = {};
	for (let i = 0; i < flags.length; i++) {
		const [flag, inline] = splitOnce(flags[i]!, "=");
		const path = flag.startsWith(PREFIX) ? flag.slice(PREFIX.length).split(".") : [];
		if (path.length === 0 || path.includes(""))
			throw invalidArgument(flag, `${flag} is no engine argument: write ${PREFIX}name value`);
		const text = inline ?? flags[++i];
		if (text === undefined || text.startsWith("--"))
			throw invalidArgument(flag, `${flag} needs a value: ${flag} VALUE`);
		assign(args, path, inferValue(text), flag);
	}
	return args;
}

/** As an integer, else a number, else true or false, else the text. An integer too large for a number stays text. */
export function inferValue(text: string): string | number | boolean {
	if (INTEGER.test(text)) return Number.isSafeInteger(Number(text)) ? Number(text) : text;
	if (FLOAT.test(text)) return Number(text);
	const word = text.toLowerCase();
	return word === "true" ? true : word === "false" ? false : text;
}

function assign(args: Record<string, unknown>, path: readonly string[], value: unknown, flag: string): void {
	let target = args;
	for (const key of path.slice(0, -1)) {
		target[key] ??= {};
		if (!isPlain(target[key]))
			throw invalidArgument(flag, `${flag} goes below ${key}, which another flag has given a value`);
		target = target[key] as Record<string, unknown>;
	}
	const last = path.at(-1)!;
	if (isPlain(target[last]))
		throw invalidArgument(flag, `${flag} would replace the fields that other flags have given below it`);
	target[last] = value;
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
	const at = text.indexOf(separator);
	return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
