// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { SampledToken } from "../backend/forward-backend.js";
import type { ScheduledShare } from "../scheduler/scheduler.js";
import type { Sequence } from "../scheduler/sequence.js";
import type { Drafter, GuessRequest } from "./drafter.js";
import { type GuessCandidate, guessLengths } from "./guess-lengths.js";
import { StepCost } from "./step-cost.js";
import { Trust } from "./trust.js";

/** A drafter that costs time and was not worth it is tried again after so many tokens, then after twice as many. */
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
	readonly trust: Trust;
	/** Of the guesses that it was last asked for. */
	doubts: readonly number[];
	/** Tokens since the sequence last guessed. */
	idle: number;
	/** Tokens after which it guesses again, although it seems not to be worth it. */
	patience: number;
	/** A guess that was not worth a row, but shows how good guesses would be. */
	unverified: number | null;
}

interface Asked extends GuessRequest {
	/** Whether the guess is not computed, but compared with what comes. */
	readonly watched: boolean;
}

/**
 * Decides how much is guessed: each sequence as far as its guesses come true and what a row takes allows. That is measured,
 * so it differs from run to run how much is guessed; what is answered does not depend on it.
 */
export class Speculation {
	readonly #options: SpeculationOptions;
	readonly #records = new WeakMap<Sequence, Record>();
	readonly #cost = new StepCost();
	#broken = false;
	#watching = false;
	#stats = { rounds: 0, guessed: 0, accepted: 0 };

	constructor(options: SpeculationOptions) {
		this.#options = options;
	}

	get stats(): SpeculationStats {
		return this.#stats;
	}

	/** Whether the next tokens will tell something of guesses that are not computed: none should be chosen unheard. */
	get watching(): boolean {
		return this.#watching;
	}

	/**
	 * Guesses for the sequences that are worth any. A drafter that fails is not asked again: answers go on without guesses.
	 * @param requests sequences that decode, `limit` being what is left of their answers
	 * @param decoding all shares of the step that get a token from one row, these included
	 */
	async propose(
		requests: readonly GuessRequest[],
		decoding: readonly Pick<ScheduledShare, "sequence">[],
	): Promise<ReadonlyMap<Sequence, Uint32Array>> {
		const { drafter, logger } = this.#options;
		const guesses = new Map<Sequence, Uint32Array>();
		this.#watching = false;
		if (this.#broken) return guesses;
		const asked = this.#choose(requests, decoding);
		if (asked.length === 0) return guesses;
		this.#watching = asked.some(({ watched }) => watched);
		try {
			const proposals = await drafter.propose(asked);
			for (const [i, { sequence, watched }] of asked.entries()) {
				const proposal = proposals[i]!;
				if (proposal.length === 0) continue;
				if (watched) this.#recordOf(sequence).unverified = proposal[0]!;
				else guesses.set(sequence, proposal);
			}
		} catch (error) {
			this.#broken = true;
			logger.error("speculation ends: the drafter failed", { error: DynError.from(error) });
		}
		return guesses;
	}

	/** Hears how long a step took, before what it computed is booked. Prompts tell nothing: their rows have no logits. */
	timed(shares: readonly ScheduledShare[], elapsedMs: number): void {
		if (shares.some(({ count }) => count > 1)) return;
		this.#cost.observe(
			shares.map(({ sequence, guesses }) => ({
				position: sequence.computed,
				rows: 1 + (guesses?.length ?? 0),
			})),
			elapsedMs,
		);
	}

	/** Hears what came of a sequence's guesses (none, if it had none) when it got new tokens. */
	observe(sequence: Sequence, guessed: number, tokens: readonly SampledToken[]): void {
		const record = this.#recordOf(sequence);
		const { trust, doubts, unverified } = record;
		const accepted = tokens.length - 1;
		if (guessed > 0) {
			this.#stats.rounds++;
			this.#stats.guessed += guessed;
			this.#stats.accepted += accepted;
			for (let i = 0; i < Math.min(accepted + 1, guessed); i++) trust.learn(doubts[i]!, i < accepted);
			record.idle = 0;
			if (accepted > 0) record.patience = RETRY_TOKENS;
		} else {
			if (unverified !== null) trust.learn(doubts[0]!, unverified === tokens[0]!.tokenId);
			record.idle += tokens.length;
		}
		record.unverified = null;
	}

	forget(sequence: Sequence): void {
		this.#options.drafter.forget(sequence);
	}

	async close(): Promise<void> {
		await this.#options.drafter.close();
	}

	/**
	 * The guesses to ask for: as many of each sequence as are worth it, none before it is known how long a step takes. Where
	 * none is, what costs nothing is watched, and what costs is tried now and then, unless it took too long if it were right.
	 */
	#choose(requests: readonly GuessRequest[], decoding: readonly Pick<ScheduledShare, "sequence">[]): Asked[] {
		const { drafter, maxGuesses, maxRows } = this.#options;
		const open: GuessRequest[] = [];
		for (const request of requests) {
			const record = this.#recordOf(request.sequence);
			record.doubts = drafter.doubts(request.sequence, Math.min(request.limit, maxGuesses));
			if (record.doubts.length > 0) open.push(request);
		}
		if (open.length === 0) return [];
		const candidates = this.#candidates(open);
		const step = this.#plainStep(decoding);
		const lengths = guessLengths(candidates, step, maxRows);
		const asked: Asked[] = [];
		for (let i = 0; i < open.length; i++) {
			const { sequence, params } = open[i]!;
			const limit = lengths[i]!;
			if (limit > 0) asked.push({ sequence, params, limit, watched: false });
			else if (drafter.isFree || (couldPay(candidates[i]!, step) && this.#isDue(sequence)))
				asked.push({ sequence, params, limit: 1, watched: drafter.isFree });
		}
		return asked;
	}

	#isDue(sequence: Sequence): boolean {
		const record = this.#recordOf(sequence);
		if (record.idle < record.patience) return false;
		record.patience *= 2;
		return true;
	}

	#candidates(requests: readonly GuessRequest[]): GuessCandidate[] {
		const draftMs = this.#options.drafter.guessMs(requests.map(({ sequence }) => sequence));
		return requests.map(({ sequence }) => {
			const { trust, doubts } = this.#recordOf(sequence);
			return {
				chances: doubts.map((doubt) => trust.chance(doubt)),
				guessMs: this.#cost.rowMs(sequence.computed + 1) + draftMs,
			};
		});
	}

	/** The step without any guess. */
	#plainStep(decoding: readonly Pick<ScheduledShare, "sequence">[]): { ms: number; tokens: number } {
		const shares = decoding.map(({ sequence }) => ({ position: sequence.computed, rows: 1 }));
		return { ms: this.#cost.stepMs(shares), tokens: shares.length };
	}

	#recordOf(sequence: Sequence): Record {
		let record = this.#records.get(sequence);
		if (!record) {
			record = { trust: new Trust(), doubts: [], idle: 0, patience: RETRY_TOKENS, unverified: null };
			this.#records.set(sequence, record);
		}
		return record;
	}
}

/** Whether a guess would be worth it if it were certainly right. */
function couldPay(
	{ guessMs }: GuessCandidate,
	step: { readonly ms: number; readonly tokens: number },
): boolean {
	return guessLengths([{ chances: [1], guessMs }], step, 1)[0]! > 0;
}
