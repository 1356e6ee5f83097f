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
	/** Whether it only looks tokens up, so that it may be asked for guesses that nobody computes. */
	readonly isFree: boolean;
	/**
	 * How often guesses like those that it could make now are wrong: the first one, then each if those before it are right,
	 * 0..1. At most `limit`; none where it has no guess. Asked before `propose`.
	 */
	doubts(sequence: Sequence, limit: number): readonly number[];
	/** Time that a guess of one of these sequences takes when each of them has one, ms; 0 while that is unknown. */
	guessMs(sequences: readonly Sequence[]): number;
	/** Guesses in the order of the requests, 0 to `limit` each. Whoever asks waits for the answer before it asks again. */
	propose(requests: readonly GuessRequest[]): readonly Uint32Array[] | Promise<readonly Uint32Array[]>;
	/** The sequence has ended. */
	forget(sequence: Sequence): void;
	/** Frees everything. */
	close(): Promise<void>;
}
