// SPDX-License-Identifier: Apache-2.0

/** GPT-2's reversible map: each byte as a printable character (openai/gpt-2 encoder.py, bytes_to_unicode). */
function byteOfCharacter(): Map<string, number> {
	const map = new Map<string, number>();
	let shifted = 0;
	for (let byte = 0; byte < 256; byte++) {
		const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
		map.set(String.fromCodePoint(printable ? byte : 256 + shifted++), byte);
	}
	return map;
}

const BYTE_OF = byteOfCharacter();
const encoder = new TextEncoder();

/** Bytes of a byte-level token ("Ġthe" is " the"); a character outside the map stands for itself. */
export function byteLevelBytes(token: string): Uint8Array {
	const bytes: number[] = [];
	for (const character of token) {
		const byte = BYTE_OF.get(character);
		if (byte === undefined) bytes.push(...encoder.encode(character));
		else bytes.push(byte);
	}
	return Uint8Array.from(bytes);
}

/** Bytes of a SentencePiece-style token: "▁the" is " the", "<0x0A>" is one byte. */
export function metaspaceBytes(token: string): Uint8Array {
	const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
	return byte
		? Uint8Array.of(Number.parseInt(byte[1]!, 16))
		: encoder.encode(token.replaceAll("\u2581", " "));
}

/** Whether a tokenizer.json's decoder works on byte-level characters (else on "▁" and "<0xNN>"). */
export function isByteLevel(decoder: unknown): boolean {
	return JSON.stringify(decoder ?? null).includes('"ByteLevel"');
}
