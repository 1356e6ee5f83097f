// SPDX-License-Identifier: Apache-2.0
/** Ids 0..127; 2 ends a sequence, and comes as the fifth token after a prompt that begins with 99. */
export const TOY = { vocabSize: 128, eosTokenId: 2, contextLength: 1000 };

export interface ToyQuestion {
	readonly prompt: readonly number[];
	readonly choice: number;
	readonly maxTokens: number;
	readonly minTokens: number;
	readonly stopTokenIds: readonly number[];
	readonly ignoreEos: boolean;
}

export interface ToyToken {
	readonly tokenId: number;
	readonly logprob: number;
	/** Most likely first. */
	readonly top: readonly { readonly tokenId: number; readonly logprob: number }[];
	readonly finish: "stop" | "length" | null;
}

/** The same tokens for the same question, the choice that ends it included. */
export function* toyTokens(question: ToyQuestion): Generator<ToyToken> {
	const { prompt, choice, maxTokens, minTokens, stopTokenIds, ignoreEos } = question;
	let state = choice + 7;
	for (const id of prompt) state = (Math.imul(state, 31) + id) >>> 0;
	const ends = new Set([...stopTokenIds, ...(ignoreEos ? [] : [TOY.eosTokenId])]);
	for (let position = 0; position < maxTokens; position++) {
		state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
		const wanted = prompt[0] === 99 && position === 4 ? TOY.eosTokenId : 3 + ((state >>> 8) % 120);
		const ranked: number[] = [];
		for (let id = wanted; ranked.length < 21; id = 3 + ((id + 4) % 120))
			if (position >= minTokens || !ends.has(id)) ranked.push(id);
		const top = ranked.map((tokenId, rank) => ({ tokenId, logprob: -0.25 - rank }));
		const isEnd = ends.has(ranked[0]!);
		const finish = isEnd ? "stop" : position === maxTokens - 1 ? "length" : null;
		yield { ...top[0]!, top, finish };
		if (isEnd) return;
	}
}

export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
