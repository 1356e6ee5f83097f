// SPDX-License-Identifier: Apache-2.0
import { cpus } from "node:os";
import { numbers, readOptions } from "./arguments.js";
import { cpuTicks, describeMachine, processTicks } from "./machine.js";
import { type HttpLoad, runHttpLoad, untilListed } from "./plane-stock-load.js";
import { type StockRig, startStockRig, WORKERS, type WorkerName } from "./plane-stock-rig.js";
import { quantile, spread } from "./statistics.js";

export const usage: string = `bench plane-stock: our worker and the stock mocker, both behind one stock frontend (node scripts/peers/install-dynamo.mjs)

  --concurrency 1,16       requests under way
  --items 1,16,64          tokens of every answer, an item each
  --seconds 3              per run; the kernel counts CPU time in steps of 10 ms
  --rounds 5`;

/** Before all: what is compiled on use takes some thousand requests to be as fast as it gets. */
const WARM_UP = { items: 16, concurrency: 16, seconds: 8 };

/** The kernel reports CPU time of other processes in hundredths of a second. */
const TICK_MS = 10;

interface StockRun {
	readonly requestsPerSecond: number;
	readonly workerCpuMsPerRequest: number;
	readonly frontendCpuMsPerRequest: number;
	readonly answerMsP50: number;
	readonly answerMsP99: number;
	/** Share of the machine's CPU that none of these processes used meanwhile, 0..1. */
	readonly foreign: number;
}

/** Prints one JSON line per workload and worker, medians with extremes of all rounds, and a table on standard error. */
export async function planeStockBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, { concurrency: "1,16", items: "1,16,64", seconds: "3", rounds: "5" });
	console.log(JSON.stringify({ machine: describeMachine() }));
	const rig = await startStockRig();
	try {
		await untilListed(rig.address, WORKERS);
		for (const name of WORKERS) await runHttpLoad(rig.address, name, WARM_UP);
		console.error("| tokens | under way | worker | worker CPU ms | requests/s | answer ms, median (99th) |");
		console.error("| --- | --- | --- | --- | --- | --- |");
		for (const items of numbers(options.items))
			for (const concurrency of numbers(options.concurrency))
				await compare(rig, { items, concurrency, seconds: Number(options.seconds) }, Number(options.rounds));
	} finally {
		await rig.close();
	}
}

/** Both in turn, the order reversed every round: only figures of one interleaved run may be compared. */
async function compare(rig: StockRig, load: HttpLoad, rounds: number): Promise<void> {
	const runs: Record<WorkerName, StockRun[]> = { ours: [], mocker: [] };
	for (const name of WORKERS) await run(rig, name, load); // warm-up
	for (let round = 0; round < rounds; round++)
		for (const name of round % 2 === 0 ? WORKERS : [...WORKERS].reverse())
			runs[name].push(await run(rig, name, load));
	for (const name of WORKERS) {
		const of = (figure: keyof StockRun) => spread(runs[name].map((each) => each[figure]));
		const figures = Object.fromEntries(
			(Object.keys(runs[name][0]!) as (keyof StockRun)[]).map((figure) => [figure, of(figure)]),
		);
		console.log(JSON.stringify({ worker: name, load, ...figures }));
		const shown = (figure: keyof StockRun, digits: number) => of(figure).median.toFixed(digits);
		console.error(
			`| ${load.items} | ${load.concurrency} | ${name} | ${shown("workerCpuMsPerRequest", 3)} | ${shown("requestsPerSecond", 0)} | ${shown("answerMsP50", 2)} (${shown("answerMsP99", 2)}) |`,
		);
	}
}

async function run({ address, pids }: StockRig, name: WorkerName, load: HttpLoad): Promise<StockRun> {
	const all = [...Object.values(pids), process.pid];
	const before = { worker: processTicks(pids[name]), frontend: processTicks(pids.frontend) };
	const ownBefore = all.map(processTicks).reduce((sum, ticks) => sum + ticks, 0);
	const machineBefore = cpuTicks().busy;
	const { seconds, answerMs } = await runHttpLoad(address, name, load);
	const requests = answerMs.length;
	const own = all.map(processTicks).reduce((sum, ticks) => sum + ticks, 0) - ownBefore;
	const foreign = Math.max(0, cpuTicks().busy - machineBefore - own);
	return {
		requestsPerSecond: requests / seconds,
		workerCpuMsPerRequest: ((processTicks(pids[name]) - before.worker) * TICK_MS) / requests,
		frontendCpuMsPerRequest: ((processTicks(pids.frontend) - before.frontend) * TICK_MS) / requests,
		answerMsP50: quantile(answerMs, 0.5),
		answerMsP99: quantile(answerMs, 0.99),
		foreign: (foreign * TICK_MS) / (seconds * 1000 * cpus().length),
	};
}
