// SPDX-License-Identifier: Apache-2.0
import type { JsonObject, JsonReader } from "./json-reader.js";
import type { LeadingSpace } from "./tokenizer.js";

/** How a vocabulary spells bytes: the `decoder` section, reduced to what a byte table needs. */
export type TokenDecoder =
	/** GPT-2's alphabet: every byte is one printable character. */
	| { readonly kind: "byte-level"; readonly leadingSpace: "keep" }
	/** SentencePiece: `space` stands for a space, `<0x0A>` for a byte if `byteFallback`. */
	| {
			readonly kind: "sentencepiece";
			readonly space: string;
			readonly byteFallback: boolean;
			readonly leadingSpace: LeadingSpace;
	  };

export function parseDecoder(read: JsonReader, value: unknown): TokenDecoder {
	const decoder = read.object(value, "decoder");
	const parts =
		decoder["type"] === "Sequence"
			? read
					.array(decoder["decoders"], "decoder.decoders")
					.map((p, i) => read.object(p, `decoder.decoders[${i}]`))
			: [decoder];
	let byteLevel = false;
	let byteFallback = false;
	let space: string | null = null;
	let leadingSpace: LeadingSpace = "keep";
	for (const part of parts) {
		switch (
			read.oneOf(part["type"], "decoder.type", [
				"ByteLevel",
				"Metaspace",
				"Replace",
				"ByteFallback",
				"Fuse",
				"Strip",
			])
		) {
			case "ByteLevel":
				byteLevel = true;
				break;
			case "Metaspace":
				space = read.string(part["replacement"], "decoder.replacement");
				if ((part["prepend_scheme"] ?? "always") !== "never" && part["add_prefix_space"] !== false)
					leadingSpace = "strip-first-token";
				break;
			case "Replace":
				space = replacedBySpace(read, part);
				break;
			case "ByteFallback":
				byteFallback = true;
				break;
			case "Strip":
				leadingSpace = strippedSpace(read, part);
				break;
			case "Fuse":
				break;
		}
	}
	if (byteLevel) {
		if (space !== null || byteFallback || leadingSpace !== "keep")
			read.fail("decoder mixes ByteLevel with SentencePiece parts");
		return { kind: "byte-level", leadingSpace: "keep" };
	}
	if (space === null)
		read.fail("decoder has neither ByteLevel nor Metaspace nor a Replace that makes spaces");
	return { kind: "sentencepiece", space, byteFallback, leadingSpace };
}

function replacedBySpace(read: JsonReader, part: JsonObject): string {
	const pattern = read.object(part["pattern"], "decoder.pattern")["String"];
	if (part["content"] !== " ") read.fail("decoder.content: only a Replace that makes spaces is supported");
	const space = read.string(pattern, "decoder.pattern.String");
	if (space === "") read.fail("decoder.pattern.String is empty");
	return space;
}

function strippedSpace(read: JsonReader, part: JsonObject): LeadingSpace {
	if (part["content"] !== " " || (part["stop"] ?? 0) !== 0 || (part["start"] !== 0 && part["start"] !== 1))
		read.fail("decoder: only a Strip of at most one leading space is supported");
	return part["start"] === 1 ? "strip-one" : "keep";
}
