// SPDX-License-Identifier: Apache-2.0
import type { JsonReader } from "./json-reader.js";

/** Token ids put before and after every text. */
export interface SurroundingIds {
	readonly before: readonly number[];
	readonly after: readonly number[];
}

/** Sequences within sequences; real files have none. */
const MAX_DEPTH = 4;

const NOTHING: SurroundingIds = { before: [], after: [] };

/**
 * What a `post_processor` does to a single text, as ids; it is applied here and not by the native tokenizer, which
 * panics when a template names a token it does not define.
 */
export function parsePostProcessor(
	read: JsonReader,
	value: unknown,
	where = "post_processor",
	depth = 0,
): SurroundingIds {
	if (depth > MAX_DEPTH) read.fail(`${where} nests too deeply`);
	if (value === undefined || value === null) return NOTHING;
	const processor = read.object(value, where);
	const type = read.oneOf(processor["type"], `${where}.type`, [
		"ByteLevel",
		"TemplateProcessing",
		"BertProcessing",
		"RobertaProcessing",
		"Sequence",
	]);
	// It only moves offsets, which nobody asks for.
	if (type === "ByteLevel") return NOTHING;
	if (type === "BertProcessing" || type === "RobertaProcessing") {
		const id = (field: string): number =>
			read.tokenId(read.array(processor[field], `${where}.${field}`)[1], `${where}.${field}[1]`);
		return { before: [id("cls")], after: [id("sep")] };
	}
	if (type === "Sequence")
		return read
			.array(processor["processors"], `${where}.processors`)
			.map((part, index) => parsePostProcessor(read, part, `${where}.processors[${index}]`, depth + 1))
			.reduce(
				(inner, outer) => ({
					before: [...outer.before, ...inner.before],
					after: [...inner.after, ...outer.after],
				}),
				NOTHING,
			);
	return parseTemplate(read, processor["single"], processor["special_tokens"], where);
}

function parseTemplate(read: JsonReader, single: unknown, tokens: unknown, where: string): SurroundingIds {
	const special = read.object(tokens ?? {}, `${where}.special_tokens`);
	const before: number[] = [];
	const after: number[] = [];
	let side = before;
	for (const [index, entry] of read.array(single, `${where}.single`).entries()) {
		const piece = read.object(entry, `${where}.single[${index}]`);
		if (piece["Sequence"] !== undefined) {
			if (side === after) read.fail(`${where}.single has the text twice`);
			side = after;
			continue;
		}
		const token = read.object(piece["SpecialToken"], `${where}.single[${index}].SpecialToken`);
		const name = read.string(token["id"], `${where}.single[${index}].SpecialToken.id`);
		if (!Object.hasOwn(special, name)) read.fail(`${where}.special_tokens does not define ${name}`);
		const ids = read.object(special[name], `${where}.special_tokens.${name}`)["ids"];
		for (const id of read.array(ids, `${where}.special_tokens.${name}.ids`))
			side.push(read.tokenId(id, `${where}.special_tokens.${name}.ids`));
	}
	if (side === before) read.fail(`${where}.single leaves the text out`);
	return { before, after };
}
