// SPDX-License-Identifier: Apache-2.0
import { numbers, readOptions } from "./arguments.js";
import { describeMachine } from "./machine.js";
import { startNatsBroker } from "./plane-broker.js";
import { PLANES } from "./plane-kinds.js";
import { type PlaneRig, startRig } from "./plane-rig.js";
import { type PlaneRun, quietPlaneRun, type Workload } from "./plane-run.js";
import { type Spread, spread } from "./statistics.js";

export const usage: string = `bench plane: what the request planes cost, with the generate wire format and no engine behind it

  --planes ${PLANES.join(",")}
  --concurrency 1,32,128   requests under way
  --burst 1,16             items of answers that are given at once
  --paced 64               items of answers that are given one every 10 ms
  --prompt 128             tokens of the prompt
  --seconds 0.5            per run
  --rounds 5`;

/** Prints one JSON line per workload and plane: medians of all rounds, and where it is a spread also extremes. */
export async function planeBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		planes: PLANES.join(","),
		concurrency: "1,32,128",
		burst: "1,16",
		paced: "64",
		prompt: "128",
		seconds: "0.5",
		rounds: "5",
	});
	console.log(JSON.stringify({ machine: describeMachine() }));
	const broker = options.planes.includes("nats") ? await startNatsBroker() : null;
	const rigs: PlaneRig[] = [];
	for (const name of PLANES.filter((plane) => options.planes.split(",").includes(plane))) {
		if (name !== "nats" || broker) rigs.push(await startRig(name, broker?.url ?? ""));
		else console.log(JSON.stringify({ plane: name, skipped: "there is no nats-server in PATH" }));
	}
	const common = { promptTokens: Number(options.prompt), seconds: Number(options.seconds) };
	const answers = [
		...numbers(options.burst).map((items) => ({ pace: "burst" as const, items })),
		...numbers(options.paced).map((items) => ({ pace: "paced" as const, items })),
	];
	for (const answer of answers)
		for (const concurrency of numbers(options.concurrency))
			await compare(rigs, { ...common, ...answer, concurrency }, Number(options.rounds), broker?.pid ?? 0);
	await Promise.all(rigs.map((rig) => rig.close()));
	await broker?.close();
}

/** Every plane in turn, the order reversed every round: only figures of one interleaved run may be compared. */
async function compare(
	rigs: readonly PlaneRig[],
	workload: Workload,
	rounds: number,
	brokerPid: number,
): Promise<void> {
	const run = (rig: PlaneRig) => quietPlaneRun(rig, workload, rig.name === "nats" ? brokerPid : 0);
	const runs = new Map(rigs.map((rig) => [rig, [] as PlaneRun[]]));
	for (const rig of rigs) await run(rig); // warm-up
	for (let round = 0; round < rounds; round++)
		for (const rig of round % 2 === 0 ? rigs : [...rigs].reverse()) runs.get(rig)!.push(await run(rig));
	for (const [{ name }, measured] of runs)
		console.log(JSON.stringify({ plane: name, workload, ...summarize(measured) }));
}

/** Per figure its median and extremes; the foreign share is the largest. */
function summarize(runs: readonly PlaneRun[]): Record<keyof PlaneRun, Spread | number> {
	const figures = Object.keys(runs[0]!) as (keyof PlaneRun)[];
	const entries = figures.map((figure) => [figure, spread(runs.map((run) => run[figure]))] as const);
	return {
		...(Object.fromEntries(entries) as Record<keyof PlaneRun, Spread>),
		foreign: Math.max(...runs.map(({ foreign }) => foreign)),
	};
}
