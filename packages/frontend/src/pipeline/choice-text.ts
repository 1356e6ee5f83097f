// SPDX-License-Identifier: Apache-2.0
import type { TokenLogprob, TokenLogprobs } from "@dyn/protocols";
import { StopStringMatcher, StreamingDetokenizer, type Tokenizer } from "@dyn/text";

export interface ChoiceTextOptions {
	readonly stop: readonly string[];
	readonly includeStopString: boolean;
	readonly skipSpecialTokens: boolean;
}

/** Turns one choice's tokens into text: detokenized, cut at the first stop string, never past it. */
export class ChoiceText {
	readonly #detokenizer: StreamingDetokenizer;
	readonly #matcher: StopStringMatcher;

	constructor(tokenizer: Tokenizer, options: ChoiceTextOptions) {
		this.#detokenizer = new StreamingDetokenizer(tokenizer, options);
		this.#matcher = new StopStringMatcher(options.stop, options);
	}

	/** New text, and whether a stop string ended the choice. `last` flushes what was withheld. */
	push(ids: readonly number[], last: boolean): { readonly text: string; readonly stopped: boolean } {
		const decoded = this.#detokenizer.push(ids) + (last ? this.#detokenizer.finish() : "");
		const { text, stopped } = this.#matcher.push(decoded);
		if (stopped !== undefined) return { text, stopped: true };
		return { text: last ? text + this.#matcher.finish() : text, stopped: false };
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
