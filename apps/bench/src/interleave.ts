// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import type { DriverProcess, DriverQuestion } from "./driver-process.js";
import { cpuTicks, processTicks } from "./machine.js";
import { type Spread, spread } from "./statistics.js";

export interface CellResult {
	readonly question: DriverQuestion;
	readonly engine: string;
	/** Tokens per second. */
	readonly speed: Spread;
	/** This engine's median over the first engine's. */
	readonly ratio: number;
	/** Largest share of the CPU that other processes used during a run, 0..1. */
	readonly foreign: number;
	/** Largest share that the hypervisor took, 0..1. */
	readonly steal: number;
}

/** A run with more foreign load than this is repeated, at most twice. */
const QUIET_SHARE = 0.1;

/**
 * Asks every engine the same questions in turn, the order reversed every round: machines drift, so only figures of one
 * interleaved run may be compared. Yields one result per question and engine.
 */
export async function* interleave(
	engines: readonly DriverProcess[],
	questions: readonly DriverQuestion[],
	rounds: number,
): AsyncGenerator<CellResult> {
	for (const question of questions) {
		for (const engine of engines) await engine.ask(question); // warm-up
		const runs = new Map(engines.map((engine) => [engine, [] as Run[]]));
		for (let round = 0; round < rounds; round++) {
			for (const engine of round % 2 === 0 ? engines : [...engines].reverse()) {
				runs.get(engine)!.push(await quietRun(engine, question));
			}
		}
		const speeds = engines.map((engine) => spread(runs.get(engine)!.map((run) => run.tokensPerSecond)));
		for (const [index, engine] of engines.entries()) {
			const speed = speeds[index]!;
			yield {
				question,
				engine: engine.name,
				speed,
				ratio: speed.median / speeds[0]!.median,
				foreign: Math.max(...runs.get(engine)!.map((run) => run.foreign)),
				steal: Math.max(...runs.get(engine)!.map((run) => run.steal)),
			};
		}
	}
}

interface Run {
	readonly tokensPerSecond: number;
	readonly foreign: number;
	readonly steal: number;
}

async function quietRun(engine: DriverProcess, question: DriverQuestion): Promise<Run> {
	for (let attempt = 0; ; attempt++) {
		const run = await oneRun(engine, question);
		if (run.foreign <= QUIET_SHARE || attempt === 2) return run;
	}
}

async function oneRun(engine: DriverProcess, question: DriverQuestion): Promise<Run> {
	await delay(60); // lets spinning threads of the other engine park
	const machineBefore = cpuTicks();
	const ownBefore = processTicks(engine.pid);
	const answer = await engine.ask(question);
	const machine = cpuTicks();
	const own = processTicks(engine.pid) - ownBefore;
	if (!answer.ms || !answer.tokens) throw new Error(`${engine.name} answered ${JSON.stringify(answer)}`);
	const total = Math.max(1, machine.total - machineBefore.total);
	return {
		tokensPerSecond: (answer.tokens / answer.ms) * 1000,
		foreign: Math.max(0, (machine.busy - machineBefore.busy - own) / total),
		steal: (machine.steal - machineBefore.steal) / total,
	};
}
