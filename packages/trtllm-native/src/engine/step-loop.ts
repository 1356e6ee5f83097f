// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { ForwardBackend, SampledToken, StepSequence } from "../backend/forward-backend.js";
import type { ScheduledShare, Scheduler, StepPlan } from "../scheduler/scheduler.js";
import type { Sequence } from "../scheduler/sequence.js";
import type { GuessRequest } from "../speculation/drafter.js";
import type { Speculation } from "../speculation/speculation.js";
import {
	type ActiveRequest,
	type Cancellation,
	type Choice,
	cancelledOutput,
	endedOutput,
	takeToken,
} from "./active-request.js";
import { ChoiceFailure, chooseTokens } from "./choose-tokens.js";
import { GuideWaits } from "./guide-waits.js";
import type { GuidedChoice } from "./guided-choice.js";
import type { Pooler } from "./pooler.js";
import { outputOf, toStepSequence } from "./step-sequence.js";

/** Tokens that are chosen within this time, ms, may be handed over together: forty times a second is as often as a reader sees. */
const TOGETHER_MS = 25;
/** No more tokens than that, for which a sequence takes one block at most that it may not need. */
const MOST_PASSES = 32;

/** What one step did, for statistics. */
export interface StepReport {
	readonly plan: StepPlan;
	/** How often the model was run. */
	readonly passes: number;
	/** Rows of sequences that had nothing generated yet. */
	readonly promptRows: number;
	readonly generatedTokens: number;
	readonly elapsedMs: number;
}

export interface StepLoopOptions {
	readonly scheduler: Scheduler;
	readonly backend: ForwardBackend;
	/** Guesses tokens; null: every token takes a step. */
	readonly speculation: Speculation | null;
	readonly logger: Logger;
	/** Called after every step that was not cancelled. */
	readonly onStep: (report: StepReport) => void;
}

/**
 * Plan, compute, deliver, until no request is left; idle it is nothing but data. A request belongs to the loop from
 * `add` until its `onEnd`. Sequences are only taken out between steps: a running step may still write their blocks.
 */
export class StepLoop {
	readonly #options: StepLoopOptions;
	readonly #requests = new Set<ActiveRequest>();
	readonly #choices = new Map<Sequence, Choice>();
	#running: Promise<void> | null = null;
	/** Shares of the step that the backend computes now. */
	#stepping: readonly ScheduledShare[] = [];
	#progressMs = 0;
	#death: DynError | null = null;
	readonly #whenIdle: (() => void)[] = [];
	readonly #waits = new GuideWaits();

	constructor(options: StepLoopOptions) {
		this.#options = options;
	}

	/** Why the loop can never run again; null while it can. */
	get death(): DynError | null {
		return this.#death;
	}

	/** Time since the last step ended, or since work arrived, ms; 0 without work. */
	get sinceProgressMs(): number {
		return this.#running ? performance.now() - this.#progressMs : 0;
	}

	add(request: ActiveRequest): void {
		this.#requests.add(request);
		for (const choice of request.open) {
			this.#choices.set(choice.sequence, choice);
			this.#options.scheduler.add(choice.sequence);
		}
		this.#waits.interrupt();
		this.#options.backend.yieldStep?.();
		if (this.#running) return;
		this.#progressMs = performance.now();
		this.#running = this.#run();
	}

	/** Ends a request early: at once while it only waits, else as soon as the running step has ended. */
	cancel(request: ActiveRequest, cancellation: Cancellation): void {
		if (request.cancellation || request.open.size === 0) return;
		request.cancellation = cancellation;
		if ([...request.open].every(({ sequence }) => sequence.slot === -1)) this.#finish(request, cancellation);
		else if (this.#mostlyWasted()) this.#options.backend.cancelStep();
		else this.#options.backend.yieldStep?.();
		this.#waits.interrupt();
	}

	/** Resolves when no request is left. */
	async idle(): Promise<void> {
		if (this.#requests.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
	}

	/** Cancels everything and resolves when the last step has ended. */
	async stop(): Promise<void> {
		for (const request of this.#requests) this.cancel(request, { how: "reported" });
		await this.#running;
	}

	/** Whether more than half of the running step is for nobody, so that stopping it is worth computing the rest again. */
	#mostlyWasted(): boolean {
		let balance = 0;
		for (const { sequence, count } of this.#stepping)
			balance += this.#choices.get(sequence)!.request.cancellation ? count : -count;
		return balance > 0;
	}

	async #run(): Promise<void> {
		const { scheduler, backend, onStep } = this.#options;
		try {
			await new Promise((resolve) => setImmediate(resolve)); // what arrives together starts together
			for (;;) {
				for (const request of this.#requests)
					if (request.cancellation) this.#finish(request, request.cancellation);
				if (this.#requests.size === 0) return;
				const planned = scheduler.plan();
				if (planned.shares.length === 0 && (await this.#waits.holding())) continue;
				if (planned.shares.length === 0)
					throw new DynError("INTERNAL", `no step is possible, but ${this.#requests.size} requests wait`);
				this.#updateSlots(planned);
				const plan = await this.#withGuesses(planned);
				this.#stepping = plan.shares;
				const promptRows = countPromptRows(plan);
				const allowed = this.#passesOf(plan); // before the shares, whose blocks it adds to
				const {
					cancelled,
					sampled,
					scores = [],
					elapsedMs,
				} = await backend.step(
					plan.shares.map((share) => this.#toStepSequence(share)),
					allowed,
					TOGETHER_MS,
				);
				this.#stepping = [];
				this.#progressMs = performance.now();
				if (cancelled) continue; // nothing was computed: the same tokens are planned again
				const passes = allowed === 1 ? 1 : sampled.length / plan.shares.length;
				this.#options.speculation?.timed(plan.shares, elapsedMs / passes);
				await this.#waits.forStep(this.#guidesOf(plan), plan.shares.length);
				this.#bookScores(plan, scores);
				const generatedTokens = this.#apply(plan, sampled);
				onStep({ plan, passes, promptRows, generatedTokens, elapsedMs });
			}
		} catch (error) {
			this.#die(error);
		} finally {
			this.#stepping = [];
			this.#running = null;
		}
	}

	#updateSlots({ preempted, admitted }: StepPlan): void {
		const { backend } = this.#options;
		for (const { slot } of preempted) backend.closeSlot(slot);
		for (const sequence of admitted) {
			const { params } = this.#choices.get(sequence)!;
			backend.openSlot(sequence.slot, params, sequence.tokens.view(), sequence.answered);
		}
	}

	#toStepSequence(share: ScheduledShare): StepSequence {
		const { promptScores } = this.#choices.get(share.sequence)!;
		const scored = promptScores?.wanted(share.count);
		return scored ? { ...toStepSequence(share), scored } : toStepSequence(share);
	}

	#bookScores({ shares }: StepPlan, scores: readonly SampledToken[]): void {
		if (scores.length === 0) return;
		for (const { sequence } of shares)
			this.#choices.get(sequence)?.promptScores?.add(scores.filter(({ slot }) => slot === sequence.slot));
	}

	/** How often the backend may run the model before it is this loop's turn again: once if anybody waits for that. */
	#passesOf(plan: StepPlan): number {
		const { backend, scheduler, speculation } = this.#options;
		const { shares } = plan;
		const awaited = scheduler.waiting > 0 || scheduler.running > shares.length || speculation?.watching;
		if (!backend.yieldStep || !decodesAlone(plan) || awaited) return 1;
		const left = shares.map(({ sequence }) => {
			const { request } = this.#choices.get(sequence)!;
			return request.cancellation ? 1 : request.maxTokens - sequence.generated;
		});
		return scheduler.roomForPasses(plan, Math.min(MOST_PASSES, ...left));
	}

	/** Guesses for the sequences that decode and whose tokens the backend chooses. */
	async #withGuesses(plan: StepPlan): Promise<StepPlan> {
		const { speculation, scheduler } = this.#options;
		const decoding = plan.shares.filter(({ samples, count }) => samples && count === 1);
		if (!speculation || decoding.length === 0) return plan;
		const requests: GuessRequest[] = [];
		for (const share of decoding) {
			const { request, params, sequence } = this.#choices.get(share.sequence)!;
			const limit = request.maxTokens - sequence.generated - 1;
			if (limit > 0 && outputOf(share) === "sample") requests.push({ sequence, params, limit });
		}
		const guesses = await speculation.propose(requests, decoding);
		return guesses.size === 0 ? plan : scheduler.withGuesses(plan, guesses);
	}

	/** Books what a step computed and hands every new token to its caller; returns their number. */
	#apply({ shares }: StepPlan, sampled: readonly SampledToken[]): number {
		const { scheduler, speculation } = this.#options;
		const bySlot = new Map<number, SampledToken[]>();
		for (const token of sampled) {
			const others = bySlot.get(token.slot);
			if (others) others.push(token);
			else bySlot.set(token.slot, [token]);
		}
		for (const share of shares) {
			const late = this.#guideOf(share)?.isReady === false;
			// Without the row that the token is chosen from, which is computed again when it can be.
			scheduler.computed(late ? { ...share, count: share.count - 1 } : share);
			if (late) this.#waits.hold(share.sequence, this.#guideOf(share)!);
		}
		const inJavaScript = shares.flatMap(({ sequence, samples }) => {
			const choice = samples && !sequence.held && !bySlot.has(sequence.slot) && this.#choices.get(sequence);
			return choice && !choice.pooler && !choice.request.cancellation ? [choice] : [];
		});
		const fromJavaScript = chooseTokens(inJavaScript, this.#options.backend);
		let tokens = 0;
		for (const share of shares) {
			const { sequence, samples, guesses } = share;
			const choice = this.#choices.get(sequence); // gone when its sibling failed in this very step
			if (choice?.pooler && !choice.request.cancellation) {
				this.#pool(choice, choice.pooler, share);
				continue;
			}
			if (!samples || !choice || choice.request.cancellation || sequence.held) continue;
			const { request } = choice;
			const next = fromJavaScript.get(choice);
			if (next instanceof ChoiceFailure) {
				this.#finish(request, { how: "failed", error: next.reason });
				continue;
			}
			if (next === null) {
				request.queue.push(endedOutput(choice));
				this.#endChoice(choice);
				continue;
			}
			const chosen = next ? [next] : bySlot.get(sequence.slot)!;
			speculation?.observe(sequence, guesses?.length ?? 0, chosen);
			for (const [i, token] of chosen.entries()) {
				if (i > 0) scheduler.computed({ sequence, count: 1 }); // a guess that came true, or another pass
				const output = takeToken(choice, token);
				tokens++;
				request.queue.push(output);
				if (!output.finishReason) {
					choice.guide?.accept(token.tokenId);
					continue;
				}
				this.#endChoice(choice);
				break;
			}
		}
		return tokens;
	}

	/** Takes the hidden states of an embedding's share, and ends it with the last. */
	#pool(choice: Choice, pooler: Pooler, share: ScheduledShare): void {
		const { sequence, count, samples } = share;
		if (outputOf(share) === "hidden")
			pooler.add(sequence.computed - count, count, this.#options.backend.hidden!(sequence.slot));
		if (samples) this.#endChoice(choice);
	}

	/** The guide of a share whose next token is to be chosen under one. */
	#guideOf({ sequence, samples }: ScheduledShare): GuidedChoice | undefined {
		const choice = samples ? this.#choices.get(sequence) : undefined;
		return choice?.request.cancellation ? undefined : choice?.guide;
	}

	#guidesOf({ shares }: StepPlan): GuidedChoice[] {
		return shares.flatMap((share) => this.#guideOf(share) ?? []);
	}

	#finish(request: ActiveRequest, cancellation: Cancellation): void {
		if (cancellation.how === "failed") request.queue.fail(cancellation.error);
		for (const choice of request.open) {
			if (cancellation.how === "reported") request.queue.push(cancelledOutput(choice));
			this.#endChoice(choice);
		}
	}

	#endChoice(choice: Choice): void {
		const { request, sequence } = choice;
		const slot = this.#options.scheduler.remove(sequence);
		if (slot !== -1 && !this.#death) this.#options.backend.closeSlot(slot);
		this.#choices.delete(sequence);
		this.#options.speculation?.forget(sequence);
		choice.guide?.close();
		request.open.delete(choice);
		if (request.open.size > 0) return;
		request.queue.end();
		this.#requests.delete(request);
		request.onEnd();
		if (this.#requests.size === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
	}

	/** The backend failed: nothing it holds can be trusted any more. */
	#die(error: unknown): void {
		const cause = DynError.from(error);
		this.#death = new DynError("UNAVAILABLE", `the engine died: ${cause.rawMessage}; start a new one`, {
			cause,
		});
		this.#options.logger.error("engine died", { error: cause });
		for (const request of this.#requests) this.#finish(request, { how: "failed", error: this.#death });
	}
}

/** Whether all that is computed is answers that go on, whose tokens need no JavaScript. */
function decodesAlone({ shares }: StepPlan): boolean {
	return shares.every(
		(share) =>
			share.sequence.generated > 0 && share.count === 1 && !share.guesses && outputOf(share) === "sample",
	);
}

function countPromptRows({ shares }: StepPlan): number {
	return shares.reduce((sum, { sequence, count }) => sum + (sequence.generated === 0 ? count : 0), 0);
}
