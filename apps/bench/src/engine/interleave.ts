// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import type { DriverProcess } from "../driver-process.js";
import { cpuTicks, processTicks } from "../machine.js";
import { type Spread, spread } from "../statistics.js";
import type { BusyProcesses } from "./busy-processes.js";
import type { SpeedQuestion } from "./ceiling.js";

export interface CellResult {
	readonly question: SpeedQuestion;
	readonly engine: string;
	/** Tokens per second. */
	readonly speed: Spread;
	/** This engine's median over the first engine's. */
	readonly ratio: number;
	/** Largest share of the CPU that other processes used during a run, 0..1. */
	readonly foreign: number;
	/** Largest share that the hypervisor took, 0..1. */
	readonly steal: number;
	/** The same beside busy processes, if there are any. */
	readonly busy?: BusyResult;
}

export interface BusyResult {
	readonly processes: number;
	/** Tokens per second. */
	readonly speed: Spread;
	/** Of this engine's own speed without them, medians, 0..1. */
	readonly kept: number;
	/** Smallest share of the CPU that these and all other processes used during a run, 0..1. */
	readonly foreign: number;
}

/** A run with more foreign load than this is repeated, at most twice. */
const QUIET_SHARE = 0.1;

/**
 * Asks every engine the same questions in turn, the order reversed every round: machines drift, so only figures of one
 * interleaved run may be compared. With `busy` processes it asks each a second time, beside them. Yields one result per
 * question and engine.
 */
export async function* interleave(
	engines: readonly DriverProcess[],
	questions: readonly SpeedQuestion[],
	rounds: number,
	busy: BusyProcesses | null = null,
): AsyncGenerator<CellResult> {
	for (const question of questions) {
		for (const engine of engines) await engine.ask(question); // warm-up
		const runs = new Map(engines.map((engine) => [engine, { quiet: [] as Run[], busy: [] as Run[] }]));
		for (let round = 0; round < rounds; round++) {
			for (const engine of round % 2 === 0 ? engines : [...engines].reverse()) {
				runs.get(engine)!.quiet.push(await quietRun(engine, question));
				if (busy) runs.get(engine)!.busy.push(await busy.during(() => oneRun(engine, question)));
			}
		}
		const first = speedOf(runs.get(engines[0]!)!.quiet);
		for (const engine of engines) {
			const own = runs.get(engine)!;
			const speed = speedOf(own.quiet);
			yield {
				question,
				engine: engine.name,
				speed,
				ratio: speed.median / first.median,
				foreign: Math.max(...own.quiet.map((run) => run.foreign)),
				steal: Math.max(...own.quiet.map((run) => run.steal)),
				...(busy && { busy: busyResult(busy.count, own.busy, speed) }),
			};
		}
	}
}

function busyResult(processes: number, runs: readonly Run[], quiet: Spread): BusyResult {
	const speed = speedOf(runs);
	const foreign = Math.min(...runs.map((run) => run.foreign));
	return { processes, speed, kept: speed.median / quiet.median, foreign };
}

interface Run {
	readonly tokensPerSecond: number;
	readonly foreign: number;
	readonly steal: number;
}

function speedOf(runs: readonly Run[]): Spread {
	return spread(runs.map(({ tokensPerSecond }) => tokensPerSecond));
}

async function quietRun(engine: DriverProcess, question: SpeedQuestion): Promise<Run> {
	for (let attempt = 0; ; attempt++) {
		const run = await oneRun(engine, question);
		if (run.foreign <= QUIET_SHARE || attempt === 2) return run;
	}
}

async function oneRun(engine: DriverProcess, question: SpeedQuestion): Promise<Run> {
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
