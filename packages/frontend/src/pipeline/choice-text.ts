// SPDX-License-Identifier: Apache-2.0
import type { TokenLogprob, TokenLogprobs } from "@dyn/protocols";
import { StopStringMatcher, StreamingDetokenizer, type Tokenizer } from "@dyn/text";

export interface ChoiceTextOptions {
	readonly stop: readonly string[];
	/** Stop strings are looked for from the last of so many tokens on: what comes before them ends nothing. null: 0. */
	readonly minTokens: number | null;
	readonly includeStopString: boolean;
	readonly skipSpecialTokens: boolean;
}

/** What some tokens came to. */
export interface TextPiece {
	readonly text: string;
	/** How many of the tokens: up to the one that ended a stop string. */
	readonly tokens: number;
	/** Whether a stop string ended the choice. */
	readonly stopped: boolean;
}

/** Turns one choice's tokens into text: detokenized, cut at the first stop string, never past it. */
export class ChoiceText {
	readonly #detokenizer: StreamingDetokenizer;
	/** null: there is nothing to look for. */
	readonly #matcher: StopStringMatcher | null;
	/** Tokens that come before stop strings are looked for. */
	#unsearched: number;

	constructor(tokenizer: Tokenizer, options: ChoiceTextOptions) {
		this.#detokenizer = new StreamingDetokenizer(tokenizer, options);
		this.#matcher = options.stop.length > 0 ? new StopStringMatcher(options.stop, options) : null;
		this.#unsearched = (options.minTokens ?? 0) - 1;
	}

	/** Text of the next tokens; `last` flushes what was withheld. */
	push(ids: readonly number[], last: boolean): TextPiece {
		const matcher = this.#matcher;
		if (!matcher) {
			const text = this.#detokenizer.push(ids) + (last ? this.#detokenizer.finish() : "");
			return { text, tokens: ids.length, stopped: false };
		}
		let text = "";
		let tokens = 0;
		const search = (decoded: string): boolean => {
			const { text: sent, stopped } = matcher.push(decoded);
			text += sent;
			return stopped !== undefined;
		};
		// One by one, so that an answer ends with the same token however many the engine hands over at once.
		for (const id of ids) {
			tokens++;
			const decoded = this.#detokenizer.push([id]);
			if (this.#unsearched-- > 0) text += decoded;
			else if (search(decoded)) return { text, tokens, stopped: true };
		}
		if (!last) return { text, tokens, stopped: false };
		const stopped = search(this.#detokenizer.finish());
		return { text: text + matcher.finish(), tokens, stopped };
	}
}

/** A token as the OpenAI API shows it. */
export interface ShownToken {
	readonly token: string;
	readonly logprob: number;
	readonly bytes: readonly number[];
}

export interface ShownLogprobs extends Omit<ShownToken, "logprob"> {
	/** null, both: nothing came before the token. */
	readonly logprob: number | null;
	readonly top: readonly ShownToken[] | null;
}

export function showLogprobs(tokenizer: Tokenizer, { top, ...chosen }: TokenLogprobs): ShownLogprobs {
	return { ...showToken(tokenizer, chosen), top: top.map((entry) => showToken(tokenizer, entry)) };
}

function showToken(tokenizer: Tokenizer, { tokenId, logprob }: TokenLogprob): ShownToken {
	const bytes = tokenizer.tokenBytes(tokenId);
	// JSON has no infinity: a suppressed token is shown as very unlikely.
	return { token: Buffer.from(bytes).toString("utf8"), logprob: Math.max(logprob, -9999), bytes: [...bytes] };
}
