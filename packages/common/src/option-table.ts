// SPDX-License-Identifier: Apache-2.0
import { DynError } from "./dyn-error.js";

/** One option of a command: the flag, its variable, its help and its check, in one place. */
export interface OptionSpec {
	/** Key in the result. */
	readonly name: string;
	/** Without dashes; the first is shown, the others are older spellings. */
	readonly flags: readonly string[];
	/** Environment variables, the first is shown. A flag wins over a variable. */
	readonly env?: readonly string[];
	readonly type: "string" | "integer" | "number" | "boolean";
	/** How the value is called in help, for example "PATH". Flags only when absent. */
	readonly value?: string;
	readonly help: string;
	readonly group: string;
	/** Shown in help; applied by whoever uses the value. */
	readonly default?: string | number | boolean;
	readonly choices?: readonly string[];
	/** What a text must be instead, or null when it is right. */
	readonly check?: (text: string) => string | null;
	/** Smallest and largest number. */
	readonly range?: readonly [number, number];
	/** Given more than once, collected as a list. */
	readonly repeated?: boolean;
	/** Refused with this advice: an option that is gone. */
	readonly gone?: string;
}

export type OptionValue = string | number | boolean | readonly string[];

export interface ParsedOptions {
	readonly values: Readonly<Record<string, OptionValue | undefined>>;
	readonly positionals: readonly string[];
}

/**
 * Reads arguments and environment by a table. Every error names the option, the value and where it came from.
 * @throws DynError INVALID_ARGUMENT
 */
export function parseOptions(
	table: readonly OptionSpec[],
	argv: readonly string[],
	env: Readonly<Record<string, string | undefined>>,
): ParsedOptions {
	const byFlag = new Map(table.flatMap((spec) => spec.flags.map((flag) => [flag, spec] as const)));
	const values: Record<string, OptionValue | undefined> = {};
	const positionals: string[] = [];
	for (const spec of table) {
		const variable = spec.env?.find((name) => env[name] !== undefined && env[name] !== "");
		if (variable) values[spec.name] = convert(spec, env[variable]!, variable);
	}
	const given = new Set<string>();
	for (let i = 0; i < argv.length; i++) {
		const argument = argv[i]!;
		if (argument === "--") {
			positionals.push(...argv.slice(i + 1));
			break;
		}
		if (!argument.startsWith("-") || argument === "-") {
			positionals.push(argument);
			continue;
		}
		const [, dashed, inline] = /^--?([^=]+)(?:=(.*))?$/s.exec(argument) ?? [];
		const negated = dashed?.startsWith("no-") ? byFlag.get(dashed.slice(3)) : undefined;
		const spec = byFlag.get(dashed ?? "") ?? (negated?.type === "boolean" ? negated : undefined);
		if (!spec)
			throw new DynError(
				"INVALID_ARGUMENT",
				`there is no option ${argument}${suggestion(dashed ?? "", [...byFlag.keys()])}; --help lists all`,
			);
		const source = `--${dashed}`;
		if (spec.type === "boolean") {
			values[spec.name] = inline === undefined ? spec !== negated : convert(spec, inline, source);
			continue;
		}
		const text = inline ?? argv[++i];
		if (text === undefined)
			throw new DynError("INVALID_ARGUMENT", `${source} needs a value: ${source} ${spec.value ?? "VALUE"}`);
		const value = convert(spec, text, source);
		if (spec.repeated && given.has(spec.name))
			values[spec.name] = [...(values[spec.name] as readonly string[]), ...(value as readonly string[])];
		else values[spec.name] = value;
		given.add(spec.name);
	}
	return { values, positionals };
}

function convert(spec: OptionSpec, text: string, source: string): OptionValue {
	const wrong = (wanted: string) =>
		new DynError("INVALID_ARGUMENT", `${source} must be ${wanted}, got ${JSON.stringify(text)}`, {
			details: { option: spec.name },
		});
	if (spec.gone)
		throw new DynError("INVALID_ARGUMENT", `${source} is gone: ${spec.gone}`, {
			details: { option: spec.name },
		});
	if (spec.type === "boolean") {
		if (/^(1|true|yes|on)$/i.test(text)) return true;
		if (/^(0|false|no|off)$/i.test(text)) return false;
		throw wrong("true or false");
	}
	if (spec.type === "string") {
		if (spec.choices && !spec.choices.includes(text)) throw wrong(`one of ${spec.choices.join(", ")}`);
		const wanted = spec.check?.(text) ?? null;
		if (wanted !== null) throw wrong(wanted);
		return spec.repeated ? text.split(",").filter(Boolean) : text;
	}
	const value = Number(text);
	const [low, high] = spec.range ?? [-Infinity, Infinity];
	const wanted = `${spec.type === "integer" ? "an integer" : "a number"}${spec.range ? ` from ${low} to ${high}` : ""}`;
	if (
		text.trim() === "" ||
		Number.isNaN(value) ||
		(spec.type === "integer" && !Number.isInteger(value)) ||
		value < low ||
		value > high
	)
		throw wrong(wanted);
	return value;
}

/** ", did you mean --x?" when one known flag is close. */
function suggestion(flag: string, known: readonly string[]): string {
	const close = known
		.map((name) => ({ name, distance: editDistance(flag, name) }))
		.sort((a, b) => a.distance - b.distance)[0];
	return close && close.distance <= Math.max(1, flag.length / 4) ? `, did you mean --${close.name}?` : "";
}

function editDistance(a: string, b: string): number {
	let row = Array.from({ length: b.length + 1 }, (_, i) => i);
	for (let i = 1; i <= a.length; i++) {
		const next = [i];
		for (let j = 1; j <= b.length; j++)
			next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
		row = next;
	}
	return row[b.length]!;
}
