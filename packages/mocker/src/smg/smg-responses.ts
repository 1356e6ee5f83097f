// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, TokenLogprobs } from "@dyn/protocols";
import type {
	MessageInit,
	SmgGenerateRequest,
	SmgGenerateResponse,
	SmgTokenLogprob,
} from "@dyn/protocols/smg";

type Response = MessageInit<SmgGenerateResponse>;

interface SequenceSoFar {
	readonly tokenIds: number[];
	readonly logprobs: SmgTokenLogprob[];
}

/** Chunks are deltas with counts of all so far; each sequence ends with one `complete` that has all of it. */
export class SmgResponses {
	readonly #request: SmgGenerateRequest;
	readonly #sequences = new Map<number, SequenceSoFar>();

	constructor(request: SmgGenerateRequest) {
		this.#request = request;
	}

	write({ index, tokenIds, logprobs, finishReason, stopTokenId, usage }: EngineOutput): readonly Response[] {
		const { requestId, streaming, tokenized } = this.#request;
		const sequence = this.#sequences.get(index) ?? { tokenIds: [], logprobs: [] };
		this.#sequences.set(index, sequence);
		const own = (logprobs ?? []).map(toSmgLogprob);
		sequence.tokenIds.push(...tokenIds);
		sequence.logprobs.push(...own);
		const counts = {
			sequenceIndex: index,
			promptTokens: tokenized!.inputTokenIds.length,
			completionTokens: sequence.tokenIds.length,
		};
		const responses: Response[] = [];
		if (streaming && tokenIds.length > 0)
			responses.push({ requestId, chunk: { ...counts, tokenIds, logprobs: own } });
		if (finishReason === null) return responses;
		responses.push({
			requestId,
			complete: {
				...counts,
				outputTokenIds: sequence.tokenIds,
				finishReason: finishReason === "eos" ? "stop" : finishReason,
				matchedTokenId: finishReason === "stop" ? (stopTokenId ?? undefined) : undefined,
				cachedTokens: usage?.cachedTokens ?? 0,
				logprobs: sequence.logprobs,
			},
		});
		return responses;
	}
}

function toSmgLogprob({ tokenId, logprob, top }: TokenLogprobs): SmgTokenLogprob {
	return { tokenId, logprob, topLogprobs: [...top] };
}
