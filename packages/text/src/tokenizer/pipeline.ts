// SPDX-License-Identifier: Apache-2.0
import type { JsonObject, JsonReader } from "./json-reader.js";
import { hasNestedRepetition } from "./nested-repetition.js";

/** Fields of one component: its JSON name and how it is checked. */
type Fields = Readonly<Record<string, (read: JsonReader, value: unknown, where: string) => unknown>>;

const text = (read: JsonReader, value: unknown, where: string): string => read.string(value, where);
const yes = (read: JsonReader, value: unknown, where: string): boolean => read.boolean(value, where, true);
const no = (read: JsonReader, value: unknown, where: string): boolean => read.boolean(value, where, false);
const character = (read: JsonReader, value: unknown, where: string): string => {
	const string = read.string(value, where);
	if ([...string].length !== 1) read.fail(`${where} must be one character`);
	return string;
};
const behavior = (read: JsonReader, value: unknown, where: string): string =>
	read.oneOf(value, where, ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]);

function pattern(read: JsonReader, value: unknown, where: string): JsonObject {
	const object = read.object(value, where);
	if (object["String"] !== undefined) {
		const literal = read.string(object["String"], `${where}.String`);
		if (literal === "") read.fail(`${where}.String is empty`);
		return { String: literal };
	}
	const regex = read.string(object["Regex"], `${where}.Regex`);
	// Oniguruma gives up on such a pattern by ending the process.
	if (hasNestedRepetition(regex))
		read.fail(`${where}.Regex repeats a group that repeats: it can take forever on some texts`);
	return { Regex: regex };
}

/** Replacing a match without characters ends the process too. */
function replaceable(read: JsonReader, value: unknown, where: string): JsonObject {
	const checked = pattern(read, value, where);
	const regex = checked["Regex"];
	if (typeof regex === "string" && mayMatchNothing(regex))
		read.fail(
			`${where}.Regex could match between two characters; only what matches characters can be replaced`,
		);
	return checked;
}

/** Also true for what cannot be told: look-around, anchors and what JavaScript does not read. */
function mayMatchNothing(regex: string): boolean {
	if (/\(\?|\\[bBAGKZz]/.test(regex)) return true;
	try {
		return new RegExp(regex, "u").test("");
	} catch {
		return true;
	}
}

const NORMALIZERS: Readonly<Record<string, Fields>> = {
	NFC: {},
	NFD: {},
	NFKC: {},
	NFKD: {},
	Lowercase: {},
	StripAccents: {},
	Prepend: { prepend: text },
	Strip: { strip_left: yes, strip_right: yes },
	Replace: { pattern: replaceable, content: text },
};

const PRE_TOKENIZERS: Readonly<Record<string, Fields>> = {
	ByteLevel: { add_prefix_space: yes, trim_offsets: yes, use_regex: yes },
	Digits: { individual_digits: no },
	Metaspace: {
		replacement: character,
		prepend_scheme: (read, value, where) =>
			read.oneOf(value ?? "always", where, ["always", "first", "never"]),
		split: yes,
	},
	Punctuation: { behavior: (read, value, where) => behavior(read, value ?? "Isolated", where) },
	Split: { pattern, behavior, invert: no },
	Whitespace: {},
	WhitespaceSplit: {},
};

/** Sequences within sequences; real files have none. */
const MAX_DEPTH = 4;

/** @returns the component rebuilt from its known fields, or null when there is none. */
export function parseNormalizer(read: JsonReader, value: unknown): JsonObject | null {
	return parseComponent(read, value, "normalizer", NORMALIZERS, "normalizers");
}

export function parsePreTokenizer(read: JsonReader, value: unknown): JsonObject | null {
	return parseComponent(read, value, "pre_tokenizer", PRE_TOKENIZERS, "pretokenizers");
}

function parseComponent(
	read: JsonReader,
	value: unknown,
	where: string,
	known: Readonly<Record<string, Fields>>,
	members: string,
	depth = 0,
): JsonObject | null {
	if (depth > MAX_DEPTH) read.fail(`${where} nests too deeply`);
	if (value === undefined || value === null) return null;
	const component = read.object(value, where);
	const type = read.oneOf(component["type"], `${where}.type`, ["Sequence", ...Object.keys(known)]);
	if (type !== "Sequence") return { type, ...parseFields(read, component, where, known[type]!) };
	const parts = read
		.array(component[members], `${where}.${members}`)
		.map((part, index) =>
			parseComponent(read, part, `${where}.${members}[${index}]`, known, members, depth + 1),
		);
	if (parts.length === 0) read.fail(`${where}.${members} is empty`);
	return { type, [members]: parts };
}

function parseFields(read: JsonReader, component: JsonObject, where: string, fields: Fields): JsonObject {
	const settings: Record<string, unknown> = {};
	// Before `prepend_scheme` there was `add_prefix_space`.
	const legacy = component["type"] === "Metaspace" && component["add_prefix_space"] === false;
	for (const [name, check] of Object.entries(fields)) {
		const value = component[name] ?? (legacy && name === "prepend_scheme" ? "never" : undefined);
		settings[name] = check(read, value, `${where}.${name}`);
	}
	return settings;
}
