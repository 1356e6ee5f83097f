// SPDX-License-Identifier: Apache-2.0
import { cpus } from "node:os";
import { numbers, readOptions } from "./arguments.js";
import { cpuTicks, describeMachine, processTicks } from "./machine.js";
import { quantile, type Spread, spread } from "./statistics.js";
import { PACES, type WorkerPace } from "./worker-bench-engine.js";
import { runWorkerLoad, type WorkerLoad } from "./worker-bench-load.js";
import { type Route, startWorkerRig, type WorkerRig } from "./worker-bench-rig.js";

export const usage: string = `bench worker: what our worker costs in front of an engine that speaks OpenEngine

  --streams 64,256         under way
  --paces ${PACES.join(",")}
                           a batch of 5 tokens: all at once; one per turn of the double's event loop; one per 50 ms,
                           all streams at the same moment; one per 50 ms, each stream at its own moment
  --tokens 1000            of answers that come as fast as they go; those with one batch per 50 ms have 150
  --prompt 128             tokens of the prompt
  --seconds 2              per run
  --rounds 5`;

/** Before all: what is compiled on use takes some seconds to be as fast as it gets. */
const WARM_UP_SECONDS = 3;
const PACED_TOKENS = 150;

/** Figures of one run; those of the worker are 0 where there is none on the way. */
interface WorkerRun {
	readonly tokensPerSecond: number;
	/** Tokens that the worker's process passes on in a second of CPU time, user and kernel. */
	readonly workerTokensPerCpuSecond: number;
	readonly workerMicrosPerToken: number;
	/** At the end of the run. */
	readonly workerRssMiB: number;
	readonly batchMicrosP50: number;
	readonly batchMicrosP99: number;
	/** Share of the machine's CPU that none of these processes used meanwhile, 0..1. */
	readonly foreign: number;
}

/** Prints one JSON line per workload and route, medians with extremes of all rounds, and a table on standard error. */
export async function workerBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		streams: "64,256",
		paces: PACES.join(","),
		tokens: "1000",
		prompt: "128",
		seconds: "2",
		rounds: "5",
	});
	console.log(JSON.stringify({ machine: describeMachine() }));
	const rig = await startWorkerRig();
	try {
		console.error(
			"| pace | streams | route | tok/CPU-s | CPU µs/token | RSS MiB | batch µs p50 (p99) | added p50 | foreign |",
		);
		console.error("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
		for (const pace of PACES.filter((each) => options.paces.split(",").includes(each)))
			for (const streams of numbers(options.streams))
				await compare(rig, Number(options.rounds), {
					pace,
					streams,
					tokens: pace === "burst" || pace === "turn" ? Number(options.tokens) : PACED_TOKENS,
					promptTokens: Number(options.prompt),
					seconds: Number(options.seconds),
				});
	} finally {
		await rig.close();
	}
}

/** Every route in turn, the order reversed every round: only figures of one interleaved run may be compared. */
async function compare(rig: WorkerRig, rounds: number, load: WorkerLoad): Promise<void> {
	const { routes } = rig;
	for (const { source } of routes) await runWorkerLoad(source, { ...load, seconds: WARM_UP_SECONDS });
	const runs = new Map(routes.map((route) => [route, [] as WorkerRun[]]));
	for (let round = 0; round < rounds; round++)
		for (const route of round % 2 === 0 ? routes : [...routes].reverse())
			runs.get(route)!.push(await run(rig, route, load));
	const direct = runs.get(routes.find(({ name }) => name === "direct")!)!;
	for (const [{ name }, measured] of runs) {
		const figures = {
			...summarize(measured),
			addedMicrosP50: spread(measured.map((each, i) => each.batchMicrosP50 - direct[i]!.batchMicrosP50)),
		};
		console.log(JSON.stringify({ route: name, load, ...figures }));
		console.error(tableRow(name, load.pace, load.streams, figures));
	}
}

async function run(
	{ routes, double }: WorkerRig,
	{ source, worker }: Route,
	load: WorkerLoad,
): Promise<WorkerRun> {
	const pids = [process.pid, double.pid, ...routes.flatMap((route) => route.worker?.pid ?? [])];
	const ownTicks = () => pids.reduce((sum, pid) => sum + processTicks(pid), 0);
	const before = await worker?.ask({ op: "cpu" });
	const ownBefore = ownTicks();
	const machineBefore = cpuTicks();
	const { tokens, seconds, batchMicros } = await runWorkerLoad(source, load);
	const machine = cpuTicks();
	const own = ownTicks() - ownBefore;
	const after = await worker?.ask({ op: "cpu" });
	const cpuMs = Number(after?.["cpuMs"] ?? 0) - Number(before?.["cpuMs"] ?? 0);
	return {
		tokensPerSecond: tokens / seconds,
		workerTokensPerCpuSecond: worker ? (tokens / cpuMs) * 1000 : 0,
		workerMicrosPerToken: (cpuMs * 1000) / tokens,
		workerRssMiB: Number(after?.["rssMiB"] ?? 0),
		batchMicrosP50: quantile(batchMicros, 0.5),
		batchMicrosP99: quantile(batchMicros, 0.99),
		// The kernel counts in hundredths of a second.
		foreign: Math.max(0, machine.busy - machineBefore.busy - own) / (seconds * 100 * cpus().length),
	};
}

type Summary = Record<keyof WorkerRun, Spread>;

function summarize(runs: readonly WorkerRun[]): Summary {
	const figures = Object.keys(runs[0]!) as (keyof WorkerRun)[];
	return Object.fromEntries(
		figures.map((figure) => [figure, spread(runs.map((each) => each[figure]))]),
	) as Summary;
}

function tableRow(
	route: string,
	pace: WorkerPace,
	streams: number,
	figures: Summary & { readonly addedMicrosP50: Spread },
): string {
	const shown = (figure: keyof typeof figures, digits = 0) => {
		const { median, min, max } = figures[figure];
		return `${median.toFixed(digits)} (${min.toFixed(digits)}..${max.toFixed(digits)})`;
	};
	const cells = [
		...[pace, streams, route],
		...(route === "direct"
			? ["", "", ""]
			: [shown("workerTokensPerCpuSecond"), shown("workerMicrosPerToken", 2), shown("workerRssMiB")]),
		`${shown("batchMicrosP50")}, ${shown("batchMicrosP99")}`,
		...[shown("addedMicrosP50"), figures.foreign.max.toFixed(2)],
	];
	return `| ${cells.join(" | ")} |`;
}
