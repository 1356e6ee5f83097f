// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput } from "@dyn/protocols";
import { StreamingDetokenizer, type Tokenizer } from "@dyn/text";
import { type ShownLogprobs, showLogprobs } from "./choice-text.js";

/** A prompt at the head of its answers. */
export class PromptEcho {
	readonly text: string;
	readonly #tokenizer: Tokenizer;
	readonly #tokenIds: Uint32Array;

	constructor(tokenizer: Tokenizer, tokenIds: Uint32Array, options: { readonly skipSpecialTokens: boolean }) {
		const detokenizer = new StreamingDetokenizer(tokenizer, options);
		this.text = detokenizer.push([...tokenIds]) + detokenizer.finish();
		this.#tokenizer = tokenizer;
		this.#tokenIds = tokenIds;
	}

	/** The text with the log-probabilities, at most `size` of them in a piece. */
	*pieces(
		logprobs: readonly ShownLogprobs[] | null,
		size: number,
	): Generator<{ readonly text: string; readonly logprobs: readonly ShownLogprobs[] | null }> {
		yield { text: this.text, logprobs: logprobs?.slice(0, size) ?? null };
		for (let from = size; logprobs && from < logprobs.length; from += size)
			yield { text: "", logprobs: logprobs.slice(from, from + size) };
	}

	/** The prompt's tokens as the engine judged them; the first follows nothing. */
	logprobs(scores: NonNullable<EngineOutput["promptLogprobs"]>): ShownLogprobs[] {
		return scores.map((score, i) => {
			if (score) return showLogprobs(this.#tokenizer, score);
			const unknown = { tokenId: this.#tokenIds[i]!, logprob: 0, top: [] };
			return { ...showLogprobs(this.#tokenizer, unknown), logprob: null, top: null };
		});
	}
}

/** Outputs in order, but none before the one that brings the log-probabilities of the prompt. */
export async function* scoredFirst(outputs: AsyncIterable<EngineOutput>): AsyncGenerator<EngineOutput, void> {
	let early: EngineOutput[] | null = [];
	for await (const output of outputs) {
		if (early && !output.promptLogprobs) early.push(output);
		else {
			yield output;
			if (early) yield* early;
			early = null;
		}
	}
	if (early) yield* early; // it ended before
}
