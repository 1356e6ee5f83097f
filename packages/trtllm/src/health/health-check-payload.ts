// SPDX-License-Identifier: Apache-2.0
import { createGenerateRequest, type GenerateRequest } from "@dyn/protocols";

/** The canary's request: one greedy token after one token (Dynamo: trtllm health_check). Urgent, so that load does not look like illness. */
export function healthCheckPayload(bosTokenId: number): GenerateRequest {
	return createGenerateRequest({
		tokenIds: [bosTokenId],
		sampling: {
			temperature: 0,
			topP: 1,
			topK: 1,
			repetitionPenalty: 1,
			presencePenalty: 0,
			frequencyPenalty: 0,
		},
		stop: { maxTokens: 1, minTokens: 0 },
		routing: { priority: 1 },
		healthCheck: true,
	});
}
