// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, GenerateRequest, TokenLogprobs } from "@dyn/protocols";

const EOS = 256;

/** A number of 32 bits that depends on every token and on their order (FNV-1a). */
function hash(tokens: readonly number[]): number {
	let value = 2166136261;
	for (const token of tokens) value = Math.imul(value ^ token, 16777619) >>> 0;
	return (value ^ (value >>> 15)) >>> 0;
}

export interface FoldOptions {
	/** Most tokens of one output. Default 1. */
	readonly burst?: number;
	/** The finish reason comes in an output without tokens. Default: with the last token. */
	readonly lateFinish?: boolean;
}

/**
 * A greedy engine in miniature: each token follows from all tokens before it, wherever prompt ends and answer begins.
 * One choice; letters only, now and then an end of sequence, which like stop ids is no part of the output.
 */
export function* foldEngine(
	request: GenerateRequest,
	{ burst = 1, lateFinish = false }: FoldOptions = {},
): Generator<EngineOutput, void> {
	const tokens = [...request.tokenIds];
	const { maxTokens, minTokens, stopTokenIds } = request.stop;
	let generated = 0;
	let pending: TokenLogprobs[] = [];
	const output = (finishReason: EngineOutput["finishReason"], stopTokenId: number | null): EngineOutput => {
		const logprobs = pending;
		pending = [];
		const usage = {
			promptTokens: request.tokenIds.length,
			completionTokens: generated,
			cachedTokens: request.tokenIds.length >> 1,
		};
		return {
			index: 0,
			tokenIds: logprobs.map(({ tokenId }) => tokenId),
			logprobs: request.output.logprobs === null ? null : logprobs,
			finishReason,
			stopTokenId,
			usage: finishReason ? usage : null,
		};
	};
	for (;;) {
		const value = hash(tokens);
		const letter = 97 + (value % 26);
		const wanted = value % 19 === 0 ? EOS : letter;
		const ends = wanted === EOS || stopTokenIds.includes(wanted);
		if (ends && generated >= (minTokens ?? 0)) {
			if (lateFinish && pending.length > 0) yield output(null, null);
			yield output(wanted === EOS ? "eos" : "stop", wanted);
			return;
		}
		tokens.push(letter);
		pending.push({ tokenId: letter, logprob: -(value % 1000) / 100, top: [] });
		generated++;
		if (generated >= (maxTokens ?? 50)) {
			if (lateFinish) yield output(null, null);
			yield output("length", null);
			return;
		}
		if (pending.length >= burst) yield output(null, null);
	}
}
