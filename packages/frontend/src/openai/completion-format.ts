// SPDX-License-Identifier: Apache-2.0
import type { ShownLogprobs } from "../pipeline/choice-text.js";
import { type AnswerFormat, usageObject } from "./answer-format.js";

/** `text_completion`, whole and streamed. */
export function completionFormat(requestId: string, model: string, created: number): AnswerFormat {
	const id = `cmpl-${requestId}`;
	const head = `{"id":${JSON.stringify(id)},"object":"text_completion","created":${created},"model":${JSON.stringify(model)},`;
	const offsets = new Map<number, number>();
	/** Log-probabilities as parallel lists; offsets count characters of the choice so far. */
	const lists = (index: number, entries: readonly ShownLogprobs[]) => {
		let offset = offsets.get(index) ?? 0;
		const textOffsets = entries.map(({ token }) => {
			const at = offset;
			offset += token.length;
			return at;
		});
		offsets.set(index, offset);
		return {
			tokens: entries.map(({ token }) => token),
			token_logprobs: entries.map(({ logprob }) => logprob),
			top_logprobs: entries.map(
				({ top }) => top && Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
			),
			text_offset: textOffsets,
		};
	};
	return {
		chunk({ index, text, logprobs, finishReason }, _first, usage) {
			const shown = logprobs === null ? "null" : JSON.stringify(lists(index, logprobs));
			const tail = usage ? `,"usage":${JSON.stringify(usageObject(usage))}` : "";
			return `${head}"choices":[{"index":${index},"text":${JSON.stringify(text)},"logprobs":${shown},"finish_reason":${finishReason ? `"${finishReason}"` : "null"}}]${tail}}`;
		},
		usageChunk: (usage) => `${head}"choices":[],"usage":${JSON.stringify(usageObject(usage))}}`,
		whole: (choices, usage) => ({
			id,
			object: "text_completion",
			created,
			model,
			choices: choices.map(({ text, logprobs, finishReason }, index) => ({
				index,
				text,
				logprobs: logprobs && lists(index, logprobs),
				finish_reason: finishReason,
			})),
			usage: usageObject(usage),
		}),
	};
}
