// SPDX-License-Identifier: Apache-2.0
import { BlockPool } from "@dyn/kvbm";
import { type BlockHasher, createBlockHasher } from "@dyn/tokens";
import { beforeAll, describe, expect, it } from "vitest";
import { Scheduler, type StepPlan } from "./scheduler.js";
import { Sequence } from "./sequence.js";

let hasher: BlockHasher;
beforeAll(async () => {
	hasher = await createBlockHasher();
});

const make = (blocks = 16, limits = {}) => {
	const pool = new BlockPool(blocks);
	return {
		pool,
		scheduler: new Scheduler(pool, { maxNumSeqs: 4, maxNumBatchedTokens: 64, kvBlockSize: 32, ...limits }),
	};
};
const sequence = (length: number, options: { priority?: number; first?: number; leader?: Sequence } = {}) =>
	new Sequence({
		prompt: Array.from({ length }, (_, i) => (options.first ?? 0) * 1000 + i),
		priority: options.priority ?? 0,
		hasher,
		processed: false,
		...(options.leader ? { leader: options.leader } : {}),
	});

/** Pretends that the step was computed: every sequence that samples gets one more token. */
function finish(scheduler: Scheduler, { shares }: StepPlan): void {
	for (const share of shares) {
		scheduler.computed(share);
		if (share.samples) share.sequence.tokens.push(7);
	}
}
const counts = ({ shares }: StepPlan) => shares.map(({ count }) => count);

describe("Scheduler", () => {
	it("mixes decodes with chunks of prompts, within the row limit", () => {
		const { scheduler } = make();
		const [first, second] = [sequence(10), sequence(100, { first: 1 })];
		scheduler.add(first);
		let plan = scheduler.plan();
		expect(counts(plan)).toEqual([10]);
		finish(scheduler, plan);
		scheduler.add(second);
		plan = scheduler.plan();
		expect(plan.shares.map(({ sequence: each, count, samples }) => [each === first, count, samples])).toEqual(
			[
				[true, 1, true],
				[false, 63, false],
			],
		);
		finish(scheduler, plan);
		plan = scheduler.plan();
		expect(counts(plan)).toEqual([1, 37]);
		expect(plan.shares[1]!.samples).toBe(true);
	});

	it("takes smaller chunks of prompts while others decode", () => {
		const { scheduler } = make(64, { maxNumBatchedTokens: 512, maxPromptTokensBesideDecoding: 128 });
		const [first, long, short] = [sequence(500), sequence(600, { first: 1 }), sequence(20, { first: 2 })];
		scheduler.add(first);
		let plan = scheduler.plan();
		expect(counts(plan)).toEqual([500]);
		finish(scheduler, plan);
		scheduler.add(long);
		scheduler.add(short);
		const steps = [];
		do {
			plan = scheduler.plan();
			steps.push(counts(plan));
			finish(scheduler, plan);
		} while (plan.shares.some(({ count }) => count > 1));
		expect(steps).toEqual([
			[1, 128],
			[1, 128],
			[1, 128],
			[1, 128],
			[1, 88, 20],
			[1, 1, 1],
		]);
	});

	it("admits the most urgent first, no more than there are slots", () => {
		const { scheduler } = make(16, { maxNumSeqs: 2 });
		const [low, high, middle] = [
			sequence(4),
			sequence(4, { priority: 5, first: 1 }),
			sequence(4, { priority: 1, first: 2 }),
		];
		for (const each of [low, high, middle]) scheduler.add(each);
		expect(scheduler.plan().admitted).toEqual([high, middle]);
		expect([scheduler.running, scheduler.waiting]).toEqual([2, 1]);
		expect(scheduler.remove(high)).toBeGreaterThanOrEqual(0);
		expect(scheduler.plan().admitted).toEqual([low]);
	});

	it("reuses a cached prefix, but always computes the last token", () => {
		const { scheduler } = make();
		const first = sequence(64);
		scheduler.add(first);
		finish(scheduler, scheduler.plan());
		scheduler.remove(first);
		const [same, longer] = [sequence(64), sequence(70)];
		scheduler.add(same);
		scheduler.add(longer);
		expect(counts(scheduler.plan())).toEqual([32, 6]);
		expect([same.cached, longer.cached]).toEqual([32, 64]);
	});

	it("lets followers wait for their leader's prompt, then share its blocks", () => {
		const { scheduler, pool } = make();
		const leader = sequence(70);
		const follower = sequence(70, { leader });
		scheduler.add(leader);
		scheduler.add(follower);
		let plan = scheduler.plan();
		expect(plan.admitted).toEqual([leader]);
		finish(scheduler, plan);
		plan = scheduler.plan();
		expect(plan.admitted).toEqual([]);
		finish(scheduler, plan);
		plan = scheduler.plan();
		expect(plan.admitted).toEqual([follower]);
		expect(follower.cached).toBe(64);
		expect(pool.stats.active).toBe(4); // two shared, one private tail each
	});

	it("takes blocks from the least urgent when they run out, and gives them back later", () => {
		const { scheduler, pool } = make(4);
		const [urgent, other] = [sequence(63, { priority: 1 }), sequence(60, { first: 1 })];
		scheduler.add(urgent);
		finish(scheduler, scheduler.plan());
		scheduler.add(other);
		while (pool.stats.active < 4 || urgent.tokens.length < 65) finish(scheduler, scheduler.plan());
		let preempted: Sequence | undefined;
		for (let step = 0; step < 40 && !preempted; step++) {
			const plan = scheduler.plan();
			preempted = plan.preempted[0]?.sequence;
			for (const { sequence: each } of plan.shares)
				expect(each.blocks.length * 32).toBeGreaterThanOrEqual(each.computed + 1);
			finish(scheduler, plan);
		}
		expect(preempted).toBe(other);
		expect([other.slot, other.blocks.length, scheduler.preemptions]).toEqual([-1, 0, 1]);
		scheduler.remove(urgent);
		expect(scheduler.plan().admitted).toEqual([other]);
		scheduler.remove(other);
		expect(pool.stats.active).toBe(0);
	});

	it("never leaks a block or a slot, and everybody ends, over random loads", () => {
		let state = 99;
		const random = (limit: number) => {
			state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
			return (state >>> 8) % limit;
		};
		const { scheduler, pool } = make(12, { maxNumBatchedTokens: 20 });
		const live = new Map<Sequence, number>();
		let ended = 0;
		for (let step = 0; step < 3000; step++) {
			if (step < 2000 && random(4) === 0 && live.size < 12) {
				const each = sequence(1 + random(150), { priority: random(3), first: random(3) });
				live.set(each, 1 + random(100));
				scheduler.add(each);
			}
			const plan = scheduler.plan();
			expect(plan.shares.reduce((sum, { count }) => sum + count, 0)).toBeLessThanOrEqual(20);
			expect(new Set(plan.shares.map(({ sequence: each }) => each.slot)).size).toBe(plan.shares.length);
			finish(scheduler, plan);
			for (const [each, tokens] of live) {
				if (each.generated < tokens && random(200) > 0) continue;
				scheduler.remove(each);
				live.delete(each);
				ended++;
			}
		}
		for (let step = 0; step < 3000 && live.size > 0; step++) {
			finish(scheduler, scheduler.plan());
			for (const [each, tokens] of live)
				if (each.generated >= tokens) scheduler.remove(each) >= -1 && live.delete(each);
		}
		expect(live.size).toBe(0);
		expect(ended).toBeGreaterThan(100);
		expect(pool.stats.active).toBe(0);
	});

	it("gives guesses the rows and empty blocks that are left, for one step", () => {
		const { scheduler, pool } = make(4, { maxNumBatchedTokens: 40 });
		const [first, second] = [sequence(30), sequence(10, { first: 1 })];
		for (const each of [first, second]) scheduler.add(each);
		finish(scheduler, scheduler.plan());
		const guesses = (count: number) => new Map([first, second].map((each) => [each, new Uint32Array(count)]));
		const made = (count: number) =>
			scheduler
				.withGuesses(scheduler.plan(), guesses(count))
				.shares.map((share) => share.guesses?.length ?? 0);
		expect(made(0)).toEqual([0, 0]);
		expect(made(8)).toEqual([8, 8]);
		expect(pool.stats.free).toBe(1); // 31 tokens and 8 guesses take two blocks
		expect(made(30)).toEqual([30, 8]); // 40 rows, two of them for tokens
		scheduler.plan();
		expect(pool.stats.free).toBe(2);
	});

	it("neither preempts nor evicts for a guess", () => {
		const { scheduler, pool } = make(3);
		const old = sequence(33);
		scheduler.add(old);
		finish(scheduler, scheduler.plan());
		scheduler.remove(old);
		expect(pool.stats).toMatchObject({ cached: 1, free: 2 });
		const [first, second] = [sequence(30, { first: 1 }), sequence(30, { first: 2 })];
		for (const each of [first, second]) scheduler.add(each);
		finish(scheduler, scheduler.plan());
		const plan = scheduler.withGuesses(
			scheduler.plan(),
			new Map([first, second].map((each) => [each, new Uint32Array(8)])),
		);
		expect(plan.shares.map(({ guesses }) => guesses?.length)).toEqual([1, 1]);
		expect([pool.stats.cached, scheduler.preemptions]).toEqual([1, 0]);
	});
});
