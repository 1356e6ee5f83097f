// SPDX-License-Identifier: Apache-2.0
import { randomInt } from "node:crypto";
import { TokenScanner } from "../tokenizer/token-scanner.js";
import type { ChatInput } from "./chat-message.js";

/**
 * Put before a character of user text that must not begin a control token. Private-use characters: no template
 * trims, cases or escapes them, and no user can guess eight (2^101).
 */
const MARK: string = Array.from({ length: 8 }, () => String.fromCharCode(0xe000 + randomInt(0x1900))).join(
	"",
);

/** Marks, in everything that a user wrote, where the text of a control token begins. */
export class LiteralText {
	readonly #scanner: TokenScanner;
	readonly #starts: ReadonlySet<number>;

	constructor(specialTokens: readonly string[]) {
		this.#scanner = new TokenScanner(specialTokens);
		this.#starts = new Set(specialTokens.map((token) => token.charCodeAt(0)));
	}

	/** The same object when there is nothing to mark, which is the usual case. Roles stay as they are. */
	mark(input: ChatInput): ChatInput {
		const marked = this.#markValue(input) as ChatInput;
		if (marked === input) return input;
		const messages = marked.messages.map((message, index) => ({
			...message,
			role: input.messages[index]!.role,
		}));
		return { ...marked, messages };
	}

	#markValue(value: unknown): unknown {
		if (typeof value === "string") return this.#markString(value);
		if (typeof value !== "object" || value === null) return value;
		if (Array.isArray(value)) {
			const items = value.map((item) => this.#markValue(item));
			return items.every((item, index) => item === value[index]) ? value : items;
		}
		let changed = false;
		const fields = Object.entries(value).map(([name, field]): [string, unknown] => {
			const marked: [string, unknown] = [this.#markString(name), this.#markValue(field)];
			changed ||= marked[0] !== name || marked[1] !== field;
			return marked;
		});
		return changed ? Object.fromEntries(fields) : value;
	}

	/** Also marks a beginning that the end of the string cuts off: more user text may follow it. */
	#markString(text: string): string {
		const end = text.trimEnd().length;
		let marked = "";
		let copied = 0;
		for (let at = 0; at < text.length; at++) {
			if (!this.#starts.has(text.charCodeAt(at)) || !this.#scanner.mayStartAt(text, at, end)) continue;
			marked += text.slice(copied, at) + MARK;
			copied = at;
		}
		return marked === "" ? text : marked + text.slice(copied);
	}
}

/** Takes the marks out again. @returns the text and, ascending, where in it they stood. */
export function takeOutMarks(text: string): { text: string; offsets: number[] } {
	const pieces = text.split(MARK);
	let length = 0;
	const offsets = pieces.slice(0, -1).map((piece) => {
		length += piece.length;
		return length;
	});
	return { text: pieces.join(""), offsets };
}
