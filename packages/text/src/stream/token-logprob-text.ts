// SPDX-License-Identifier: Apache-2.0
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { incompleteTail } from "./utf8-stream.js";

/** How the OpenAI API shows one token in `logprobs`. */
export interface TokenLogprobText {
	/** Its text; a byte that is part of a character only is written `\xe2`. */
	readonly token: string;
	/** Its UTF-8 bytes: those of several tokens together make the text. */
	readonly bytes: readonly number[];
}

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });

/** Control tokens are shown by their text. An unknown id is shown as nothing. */
export function tokenLogprobText(tokenizer: Tokenizer, id: number): TokenLogprobText {
	const bytes = tokenizer.tokenBytes(id);
	const text = lossy.decode(bytes);
	const whole = !text.includes("\ufffd") || Buffer.from(text).equals(bytes);
	return { token: whole ? text : escapeBytes(bytes), bytes: Array.from(bytes) };
}

/** Text with `\xNN` for every byte that is not part of a whole character. */
function escapeBytes(bytes: Uint8Array): string {
	let text = "";
	for (let at = 0; at < bytes.length; ) {
		const size = characterSize(bytes, at);
		text +=
			size === 0
				? `\\x${bytes[at]!.toString(16).padStart(2, "0")}`
				: lossy.decode(bytes.subarray(at, at + size));
		at += size || 1;
	}
	return text;
}

/** Bytes of the well-formed character at `at`, or 0. */
function characterSize(bytes: Uint8Array, at: number): number {
	for (let size = 1; size <= 4 && at + size <= bytes.length; size++) {
		const part = bytes.subarray(at, at + size);
		if (incompleteTail(part) === size) continue;
		return Buffer.from(lossy.decode(part)).equals(part) ? size : 0;
	}
	return 0;
}
