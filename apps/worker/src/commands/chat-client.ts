// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

export interface ChatMessage {
	readonly role: "system" | "user" | "assistant";
	readonly content: string;
}

export interface AnswerRequest {
	readonly model: string;
	readonly messages: readonly ChatMessage[];
	readonly temperature: number;
	readonly maxTokens: number;
	/** Aborting ends the answer where it is. */
	readonly signal: AbortSignal;
	onText(piece: string): void;
}

/** Streams one answer from an OpenAI-compatible server. */
export async function streamAnswer(
	server: string,
	request: AnswerRequest,
): Promise<{ readonly answer: string; readonly tokens: number; readonly seconds: number }> {
	let answer = "";
	let tokens = 0;
	const began = performance.now();
	try {
		const response = await fetch(`${server}/v1/chat/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			signal: request.signal,
			body: JSON.stringify({
				model: request.model,
				messages: request.messages,
				temperature: request.temperature,
				max_tokens: request.maxTokens,
				stream: true,
				stream_options: { include_usage: true },
			}),
		});
		if (!response.ok)
			throw new DynError(
				"UNAVAILABLE",
				((await response.json()) as { error?: { message?: string } }).error?.message ??
					`status ${response.status}`,
			);
		let rest = "";
		for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
			const events = (rest + chunk).split("\n\n");
			rest = events.pop()!;
			for (const event of events) {
				if (!event.startsWith("data: {")) continue;
				const { error, usage, choices } = JSON.parse(event.slice(6));
				if (error) throw new DynError("UNAVAILABLE", error.message);
				if (usage) tokens = usage.completion_tokens;
				const piece: string = choices[0]?.delta.content ?? "";
				if (!piece) continue;
				tokens++;
				answer += piece;
				request.onText(piece);
			}
		}
	} catch (error) {
		if (!request.signal.aborted) throw error;
	}
	return { answer, tokens, seconds: (performance.now() - began) / 1000 };
}
