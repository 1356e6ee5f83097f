// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { SampledToken } from "../backend/forward-backend.js";
import type { Sequence } from "../scheduler/sequence.js";
import type { Drafter, GuessRequest } from "./drafter.js";
import { guessLengths } from "./guess-lengths.js";

/** Trusted before anything is known of a sequence. */
const FIRST_RATE = 0.5;
/** Weight of the newest guess in a sequence's rate. */
const NEWEST_WEIGHT = 0.2;
/** A drafter that costs time and was not worth it is tried again after so many tokens. */
const RETRY_TOKENS = 32;

export interface SpeculationOptions {
	readonly drafter: Drafter;
	/** Most guesses of a sequence in a step. */
	readonly maxGuesses: number;
	/** Most guesses of a step. */
	readonly maxRows: number;
	readonly logger: Logger;
}

/** Since the start. */
export interface SpeculationStats {
	/** Rounds: shares of steps that had guesses. */
	readonly rounds: number;
	readonly guessed: number;
	readonly accepted: number;
}

interface Record {
	rate: number;
	/** Tokens since the sequence last guessed. */
	idle: number;
	/** A guess that was not worth a row, but shows how good guesses would be. */
	unverified: number | null;
}

/** Decides how much is guessed: each sequence as far as its guesses come true and the batch has time for them. */
export class Speculation {
	readonly #options: SpeculationOptions;
	readonly #records = new WeakMap<Sequence, Record>();
	#broken = false;
	#stats = { rounds: 0, guessed: 0, accepted: 0 };

	constructor(options: SpeculationOptions) {
		this.#options = options;
	}

	get stats(): SpeculationStats {
		return this.#stats;
	}

	/**
	 * Guesses for the sequences that are worth any. A drafter that fails is not asked again: answers go on without guesses.
	 * @param requests sequences that decode, `limit` being what is left of their answers
	 * @param sequences that get a token in this step, these included
	 */
	async propose(
		requests: readonly GuessRequest[],
		sequences: number,
	): Promise<ReadonlyMap<Sequence, Uint32Array>> {
		const { drafter, maxGuesses, maxRows, logger } = this.#options;
		const guesses = new Map<Sequence, Uint32Array>();
		if (this.#broken) return guesses;
		const records = requests.map(({ sequence }) => this.#recordOf(sequence));
		const lengths = guessLengths(
			requests.map(({ limit }, i) => ({ rate: records[i]!.rate, limit: Math.min(limit, maxGuesses) })),
			sequences,
			maxRows,
			drafter.costRatio,
		);
		const asked = requests.flatMap((request, i) => {
			const limit = lengths[i]! || this.#trial(records[i]!);
			return limit > 0 && request.limit > 0 ? [{ ...request, limit, length: lengths[i]! }] : [];
		});
		if (asked.length === 0) return guesses;
		try {
			const proposals = await drafter.propose(asked);
			for (const [i, { sequence, length }] of asked.entries()) {
				const proposal = proposals[i]!;
				if (proposal.length === 0) continue;
				if (length > 0 || drafter.costRatio > 0) guesses.set(sequence, proposal);
				else this.#recordOf(sequence).unverified = proposal[0]!;
			}
		} catch (error) {
			this.#broken = true;
			logger.error("speculation ends: the drafter failed", { error: DynError.from(error) });
		}
		return guesses;
	}

	/** Hears what came of a sequence's guesses (none, if it had none) when it got new tokens. */
	observe(sequence: Sequence, guessed: number, tokens: readonly SampledToken[]): void {
		const record = this.#recordOf(sequence);
		const accepted = tokens.length - 1;
		if (guessed > 0) {
			this.#stats.rounds++;
			this.#stats.guessed += guessed;
			this.#stats.accepted += accepted;
			for (let i = 0; i < accepted; i++) learn(record, true);
			if (accepted < guessed) learn(record, false);
			record.idle = 0;
		} else {
			if (record.unverified !== null) learn(record, record.unverified === tokens[0]!.tokenId);
			record.idle++;
		}
		record.unverified = null;
	}

	forget(sequence: Sequence): void {
		this.#options.drafter.forget(sequence);
	}

	async close(): Promise<void> {
		await this.#options.drafter.close();
	}

	/** Guesses to ask for although none is worth a row: what costs nothing is watched, what costs is tried now and then. */
	#trial({ idle }: Record): number {
		return this.#options.drafter.costRatio === 0 || idle >= RETRY_TOKENS ? 1 : 0;
	}

	#recordOf(sequence: Sequence): Record {
		let record = this.#records.get(sequence);
		if (!record) {
			record = { rate: FIRST_RATE, idle: 0, unverified: null };
			this.#records.set(sequence, record);
		}
		return record;
	}
}

function learn(record: Record, right: boolean): void {
	record.rate += NEWEST_WEIGHT * ((right ? 1 : 0) - record.rate);
}
