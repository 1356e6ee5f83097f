// SPDX-License-Identifier: Apache-2.0
import type { ShownLogprobs } from "../pipeline/choice-text.js";
import { type AnswerFormat, usageObject } from "./answer-format.js";

/** `chat.completion` and `chat.completion.chunk`. Most of a chunk is the same every time and is written once. */
export function chatFormat(requestId: string, model: string, created: number): AnswerFormat {
	const id = `chatcmpl-${requestId}`;
	const head = `{"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${created},"model":${JSON.stringify(model)},`;
	return {
		chunk({ index, text, logprobs, finishReason }, first, usage) {
			const role = first ? '"role":"assistant",' : "";
			const shown = logprobs === null ? "null" : JSON.stringify({ content: logprobs.map(entryOf) });
			const tail = usage ? `,"usage":${JSON.stringify(usageObject(usage))}` : "";
			return `${head}"choices":[{"index":${index},"delta":{${role}"content":${JSON.stringify(text)}},"logprobs":${shown},"finish_reason":${finishReason ? `"${finishReason}"` : "null"}}]${tail}}`;
		},
		usageChunk: (usage) => `${head}"choices":[],"usage":${JSON.stringify(usageObject(usage))}}`,
		whole: (choices, usage) => ({
			id,
			object: "chat.completion",
			created,
			model,
			choices: choices.map(({ text, logprobs, finishReason }, index) => ({
				index,
				message: { role: "assistant", content: text, refusal: null },
				logprobs: logprobs && { content: logprobs.map(entryOf), refusal: null },
				finish_reason: finishReason,
			})),
			usage: usageObject(usage),
		}),
	};
}

function entryOf({ token, logprob, bytes, top }: ShownLogprobs) {
	return { token, logprob, bytes, top_logprobs: top };
}
