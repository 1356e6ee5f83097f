// SPDX-License-Identifier: Apache-2.0
// A change of one file that fits its kind: what a header says, and what it is made of.
import { mutateBytes, mutateText, mutateValue, toJson } from "./mutate.mjs";

/**
 * @param name the file's name, which tells its kind
 * @param original its bytes
 * @param gguf reads and writes GGUF: {decode(bytes), encode(description)}
 */
export function mutateFile(name, original, random, gguf) {
	if (random() < 0.25) return mutateBytes(original, random);
	if (name.endsWith(".json")) return mutateJson(original, random);
	if (name.endsWith(".jinja")) return mutateText(original, random);
	if (name.endsWith(".safetensors")) return mutateSafetensors(original, random);
	return mutateGguf(original, random, gguf) ?? mutateBytes(original, random);
}

function mutateJson(original, random) {
	const value = parsed(original);
	// A template in a JSON file is mutated as a template.
	if (typeof value?.chat_template === "string" && random() < 0.4)
		return toJson({
			...value,
			chat_template: mutateText(Buffer.from(value.chat_template), random).toString(),
		});
	if (value === undefined || random() < 0.1) return mutateText(original, random);
	return toJson(mutateValue(value, random)) ?? mutateText(original, random);
}

function mutateSafetensors(original, random) {
	const length = Number(original.readBigUInt64LE());
	const header = parsed(original.subarray(8, 8 + length));
	const text = header === undefined ? null : toJson(mutateValue(header, random));
	if (text === null) return mutateBytes(original, random);
	const size = Buffer.alloc(8);
	size.writeBigUInt64LE(BigInt(text.length));
	return Buffer.concat([size, text, original.subarray(8 + length)]);
}

function mutateGguf(original, random, { decode, encode }) {
	try {
		const description = decode(original);
		const template = description.metadata["tokenizer.chat_template"];
		if (typeof template === "string" && random() < 0.2)
			description.metadata["tokenizer.chat_template"] = mutateText(Buffer.from(template), random).toString();
		else mutateValue(description, random);
		return Buffer.from(encode(description));
	} catch {
		return null; // no longer something that the writer can write
	}
}

function parsed(bytes) {
	try {
		return JSON.parse(bytes.toString("utf8"));
	} catch {
		return undefined;
	}
}
