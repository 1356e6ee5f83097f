// SPDX-License-Identifier: Apache-2.0
import type { SamplerParams } from "../backend/forward-backend.js";
import type { Sequence } from "../scheduler/sequence.js";

/** A decoding sequence whose next tokens are to be guessed. */
export interface GuessRequest {
	readonly sequence: Sequence;
	/** How its tokens are chosen. */
	readonly params: SamplerParams;
	/** Most guesses, at least 1. */
	readonly limit: number;
}

/** Guesses the tokens to come. What it says costs time when it is wrong, and never changes an answer. */
export interface Drafter {
	/** Time for one guess of every sequence over the time of a step of the model: 0 for what only looks tokens up. */
	readonly costRatio: number;
	/** Guesses in the order of the requests, 0 to `limit` each. Whoever asks waits for the answer before it asks again. */
	propose(requests: readonly GuessRequest[]): readonly Uint32Array[] | Promise<readonly Uint32Array[]>;
	/** The sequence has ended. */
	forget(sequence: Sequence): void;
	/** Frees everything. */
	close(): Promise<void>;
}
