// SPDX-License-Identifier: Apache-2.0
import type { GenerateResponse } from "../generated/messages.js";
import { check } from "./subject.js";

const EVENTS = ["prompt", "token", "prefillReady", "finished", "error"] as const;

/**
 * What holds for the responses of every request that succeeds: ids, order, one end per output and nothing after it, usage
 * on the last response alone.
 */
export function checkStream(
	responses: readonly GenerateResponse[],
	requestId: string,
	outputs: number,
): void {
	check(responses.length > 0, "the stream ended without a response");
	const open = new Set(Array.from({ length: outputs }, (_, index) => index));
	let prompts = 0;
	for (const [position, response] of responses.entries()) {
		const isLast = position === responses.length - 1;
		const { prompt, token, finished, prefillReady, error, usage } = response;
		check(
			response.requestId === requestId,
			`response ${position} has request_id ${JSON.stringify(response.requestId)}`,
		);
		const events = EVENTS.filter((name) => response[name] !== undefined);
		check(events.length === 1, `response ${position} has ${events.length} events`);
		check(!error, `the request failed: ${error?.message}`);
		check(
			(usage !== undefined) === isLast,
			isLast ? "the last response has no usage" : "usage came before the last response",
		);
		if (prompt)
			check(++prompts === 1 && position === 0, "PromptOutput is not the first event, or came twice");
		if (token) {
			check(token.outputIndex !== undefined, "a TokenOutput has no output_index");
			check(
				open.has(token.outputIndex),
				`output ${token.outputIndex} sent tokens after its end, or was never asked for`,
			);
			check(token.tokens.length > 0 || token.text !== "", "a TokenOutput has neither tokens nor text");
		}
		if (finished) {
			check(finished.outputIndex !== undefined, "a GenerationFinished has no output_index");
			check(
				open.delete(finished.outputIndex),
				`output ${finished.outputIndex} ended twice, or was never asked for`,
			);
			check(finished.reason !== 0, "an output finished without a reason");
		}
		if (prefillReady) {
			check(isLast, "the stream went on after PrefillReady");
			open.clear();
		}
	}
	check(open.size === 0, `the stream ended and output ${[...open].join(", ")} had not`);
}

/** Usage that adds up. */
export function checkUsage(responses: readonly GenerateResponse[], promptTokens: number): void {
	const usage = responses.at(-1)!.usage!;
	const tokens = responses.reduce((sum, { token }) => sum + (token?.tokens.length ?? 0), 0);
	check(
		usage.promptTokens === promptTokens,
		`usage counts ${usage.promptTokens} prompt tokens of ${promptTokens}`,
	);
	check(
		usage.completionTokens === tokens,
		`usage counts ${usage.completionTokens} tokens and ${tokens} came`,
	);
	check(usage.totalTokens === promptTokens + tokens, `total_tokens is ${usage.totalTokens}, not the sum`);
	check((usage.cachedPromptTokens ?? 0) <= promptTokens, "more prompt tokens were cached than there are");
	check((usage.reasoningTokens ?? 0) <= tokens, "more reasoning tokens than tokens");
}
