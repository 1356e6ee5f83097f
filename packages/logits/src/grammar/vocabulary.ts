// SPDX-License-Identifier: Apache-2.0

/** The bytes of every token: token `id` is `bytes` from `offsets[id]` to `offsets[id + 1]`. Empty: not text, such as control tokens. */
export interface Vocabulary {
	readonly bytes: Uint8Array;
	/** One more than there are tokens. */
	readonly offsets: Uint32Array;
}

/**
 * Gathers a vocabulary in memory that threads share.
 * @param size number of tokens
 * @param tokenBytes what a token stands for; empty for a token that is not text
 */
export function createVocabulary(size: number, tokenBytes: (id: number) => Uint8Array): Vocabulary {
	const offsets = new Uint32Array(new SharedArrayBuffer(4 * (size + 1)));
	for (let id = 0; id < size; id++) offsets[id + 1] = offsets[id]! + tokenBytes(id).length;
	const bytes = new Uint8Array(new SharedArrayBuffer(offsets[size]!));
	for (let id = 0; id < size; id++) bytes.set(tokenBytes(id), offsets[id]!);
	return { bytes, offsets };
}
