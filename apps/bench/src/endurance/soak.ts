// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { readOptions } from "../arguments.js";
import { describeMachine } from "../machine.js";
import { churn } from "./churn.js";
import { Fleet, SERVED_MODEL } from "./fleet.js";
import { ResourceSamples, type ResourceUse } from "./resource-samples.js";
import { etcdServer } from "./servers.js";
import { lostChildren, openSession, progress, report, seconds } from "./session.js";
import { writeSmallModel } from "./small-model.js";
import { SteadyLoad } from "./steady-load.js";
import { Tally } from "./tally.js";

export const usage = `bench soak: a frontend and three workers under steady load, while one worker after the other is killed and added

  --minutes 30
  --tokens 1000000         tokens that must come (default: so many for 30 minutes)
  --discovery etcd         or file
  --model FOLDER           what the workers serve (default: a small model made on the spot)`;

const TOKENS_PER_MINUTE = 1_000_000 / 30;
/** The load asks for more than the goal, since clients leave and workers die. */
const HEADROOM = 1.3;
const TOKENS: readonly [number, number] = [64, 448];
const LEAVE_SHARE = 0.1;
const CLIENTS = 24;
/**
 * Short ones, as fast as they go, before the clock starts: at three requests a second pools, and the allocator's arenas of
 * the threads that encode, would take most of the half hour to reach their size.
 */
const WARM_UP_REQUESTS = 10_000;
const WARM_UP_TOKENS: readonly [number, number] = [1, 4];
const SAMPLE_SECONDS = 5;
/** Between collections of garbage, at most. */
const SETTLE_SECONDS = 60;
/** Of the time after the warm-up, each longer than a heap takes to fill: otherwise its saw-tooth passes for a rise. */
const WINDOWS = 6;
/** Most that memory may rise between the end of the warm-up and the end, MB, and file descriptors. */
const MAX_RISE_MB = 5;
const MAX_RISE_FILES = 4;

/** Prints one JSON line and a table; exit code 1 when a limit is broken. */
export async function soakBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, { minutes: "30", tokens: "", discovery: "etcd", model: "" });
	const runSeconds = Number(options.minutes) * 60;
	const goal = Number(options.tokens || Math.round(Number(options.minutes) * TOKENS_PER_MINUTE));
	const folder = openSession();
	const model = options.model || writeSmallModel(join(folder, "model"));
	const discovery = await openDiscovery(options.discovery, folder);
	const fleet = await Fleet.start(model, discovery.options, 3);
	// The last worker is the first to be killed.
	const longLived = [fleet.frontend, ...fleet.workers.slice(0, -1)].map(
		(child) => new ResourceSamples(child),
	);

	const warmUp = await warmedUp(fleet.port);
	const tally = new Tally();
	const began = performance.now();
	const load = new SteadyLoad({
		port: fleet.port,
		model: SERVED_MODEL,
		requestsPerSecond: (goal * HEADROOM) / runSeconds / ((TOKENS[0] + TOKENS[1]) / 2),
		clients: CLIENTS,
		tokens: TOKENS,
		leaveShare: LEAVE_SHARE,
		seed: 7,
		onEnd: (end) => tally.add(end),
	});
	const sampling = setInterval(() => {
		for (const each of longLived) each.take();
	}, SAMPLE_SECONDS * 1000);
	const settling = setInterval(
		() => void Promise.all(longLived.map((each) => each.settle())),
		Math.min(SETTLE_SECONDS, runSeconds / 20) * 1000,
	);
	const telling = setInterval(() => {
		const memory = longLived.map(({ ownMb }) => ownMb.toFixed(1)).join(" ");
		progress(
			began,
			`${tally.requests} requests, ${tally.failed} failed, ${tally.tokens} tokens, ${memory} MB`,
		);
	}, 60_000);
	const changes = churn(fleet, Math.min(120, Math.max(10, runSeconds / 10)), (what) => progress(began, what));
	await seconds(runSeconds);
	await changes.stop();
	clearInterval(sampling);
	clearInterval(settling);
	clearInterval(telling);
	const lasted = performance.now() - began;
	await load.stop();
	const migrations = await fleet.migrations().catch(() => null);
	const { lost } = fleet;
	await fleet.close();
	await discovery.close();

	const warmUpMs = Math.min(300_000, lasted / 3);
	const windowMs = (lasted - warmUpMs) / WINDOWS;
	const processes = longLived.map((each) => each.use(began + warmUpMs, windowMs));
	const reasons = [
		...processes.flatMap(excess),
		...(warmUp.failed > 0 ? [`${warmUp.failed} requests of the warm-up failed`] : []),
		...(tally.failed > 0 ? [`${tally.failed} requests failed`] : []),
		...(tally.tokens < goal ? [`${tally.tokens} tokens came instead of ${goal}`] : []),
		...lostChildren(lost),
		...(changes.failure === null ? [] : [`a worker could not be added: ${changes.failure}`]),
	];
	const { requests, left, failed, tokens, errors } = tally;
	const { killed, added } = changes;
	report(
		{
			bench: "soak",
			machine: describeMachine(),
			discovery: options.discovery,
			minutes: Number(options.minutes),
			warmUpRequests: warmUp.requests,
			warmUpMinutes: Number((warmUpMs / 60_000).toFixed(2)),
			...{ requests, left, failed, errors, tokens, tokenGoal: goal, migrations, killed, added, processes },
		},
		[
			["requests", `${requests}, ${left} left by their clients, ${failed} failed`],
			...Object.entries(errors).map(([text, count]): [string, string] => ["", `${count} × ${text}`]),
			["tokens", `${tokens} of ${goal}`],
			["workers", `${killed} killed, ${added} added, ${migrations} requests went on at another one`],
			...processes.map((use): [string, string] => [use.name, describe(use)]),
		],
		reasons,
	);
}

/** Fills what only fills once; resolves with what became of it. */
async function warmedUp(port: number): Promise<Tally> {
	const tally = new Tally();
	const began = performance.now();
	await new Promise<void>((resolve) => {
		const load = new SteadyLoad({
			port,
			model: SERVED_MODEL,
			requestsPerSecond: Number.POSITIVE_INFINITY,
			clients: CLIENTS,
			tokens: WARM_UP_TOKENS,
			leaveShare: LEAVE_SHARE,
			seed: 11,
			onEnd(end) {
				tally.add(end);
				if (tally.requests === WARM_UP_REQUESTS) void load.stop().then(resolve);
			},
		});
	});
	progress(began, `warmed up with ${tally.requests} requests, ${tally.failed} failed`);
	return tally;
}

interface Discovery {
	readonly options: readonly string[];
	close(): Promise<void>;
}

async function openDiscovery(kind: string, folder: string): Promise<Discovery> {
	if (kind === "file") {
		const options = ["--discovery-backend", "file", "--file-kv", join(folder, "discovery")];
		return { options, close: () => Promise.resolve() };
	}
	if (kind !== "etcd") throw new RangeError(`--discovery must be etcd or file, got ${kind}`);
	const etcd = await etcdServer(folder);
	await etcd.start();
	const options = ["--discovery-backend", "etcd", "--etcd-endpoints", etcd.address];
	return { options, close: () => etcd.kill() };
}

function excess({ name, settledMb, openFiles }: ResourceUse): string[] {
	return [
		...(settledMb.rise < MAX_RISE_MB ? [] : [`${name}: memory rises by ${settledMb.rise} MB`]),
		...(openFiles.rise < MAX_RISE_FILES ? [] : [`${name}: open files rise by ${openFiles.rise}`]),
	];
}

const describe = ({ residentMb, ownMb, settledMb, openFiles }: ResourceUse) =>
	`${residentMb.min}..${residentMb.max} MB, its own ${ownMb.min}..${ownMb.max} MB; ` +
	`after collections ${settledMb.min}..${settledMb.max} MB rise by ${settledMb.rise} MB; ` +
	`${openFiles.min}..${openFiles.max} open files rise by ${openFiles.rise}`;
