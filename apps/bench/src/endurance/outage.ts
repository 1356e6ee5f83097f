// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { readOptions } from "../arguments.js";
import { describeMachine } from "../machine.js";
import { Fleet, SERVED_MODEL } from "./fleet.js";
import { Phases } from "./phases.js";
import { type Registration, watchRegistration } from "./registration.js";
import { etcdServer, natsServer } from "./servers.js";
import { lostChildren, openSession, progress, report, seconds } from "./session.js";
import { writeSmallModel } from "./small-model.js";
import { SteadyLoad } from "./steady-load.js";
import type { Tally } from "./tally.js";

export const usage = `bench outage: etcd and NATS killed under constant load, and started again

  --minutes 10             without them
  --request-plane tcp      or nats; events go over NATS
  --rate 50                requests a second
  --model FOLDER           what the workers serve (default: a small model made on the spot)`;

const WORKERS = 2;
const TOKENS: readonly [number, number] = [4, 12];
const CLIENTS = 64;
/** Load before the outage. */
const BEFORE_SECONDS = 10;
/** Everybody must be announced so long after the restart, ms; over NATS, requests must be answered from then on too. */
const CONVERGE_MS = 15_000;
/** Long enough to see a lease end that nobody holds any more: leases last 10 s from etcd's start. */
const WATCH_SECONDS = 25;
/** Requests that cannot be carried must be refused so soon, ms. */
const REFUSE_MS = 10_000;

/** Prints one JSON line and a table; exit code 1 when something did not survive. */
export async function outageBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, { minutes: "10", "request-plane": "tcp", rate: "50", model: "" });
	const plane = options["request-plane"];
	const folder = openSession();
	const etcd = await etcdServer(folder);
	const nats = await natsServer();
	await Promise.all([etcd.start(), nats.start()]);
	const deployment = [
		["--discovery-backend", "etcd", "--etcd-endpoints", etcd.address],
		["--request-plane", plane, "--event-plane", "nats", "--nats-server", nats.address],
	].flat();
	const model = options.model || writeSmallModel(join(folder, "model"));
	const fleet = await Fleet.start(model, deployment, WORKERS);

	const phases = new Phases();
	const began = performance.now();
	const load = new SteadyLoad({
		port: fleet.port,
		model: SERVED_MODEL,
		requestsPerSecond: Number(options.rate),
		clients: CLIENTS,
		tokens: TOKENS,
		leaveShare: 0,
		seed: 7,
		onEnd: (end) => phases.add(end),
	});
	const telling = setInterval(
		() => progress(began, `${phases.requests} requests, ${phases.failed} failed`),
		60_000,
	);
	await seconds(BEFORE_SECONDS);
	const announced = await watchRegistration(etcd.address, 0);
	progress(began, `etcd and NATS killed; ${announced.keys.length} keys were in etcd`);
	phases.outageBegins();
	await Promise.all([etcd.kill(), nats.kill()]);
	await seconds(Number(options.minutes) * 60);

	await Promise.all([etcd.start(), nats.start()]);
	phases.outageEnds(CONVERGE_MS);
	progress(began, "etcd and NATS started again");
	const registered = await watchRegistration(etcd.address, WATCH_SECONDS, announced.keys);
	const found = await newWorkerFound(fleet);
	await seconds(2); // requests over the new worker
	const { lost } = fleet;
	clearInterval(telling);
	await load.stop();
	await fleet.close();
	await Promise.all([etcd.kill(), nats.kill()]);

	const reasons = [
		...Object.entries(phases.tallies).flatMap(([phase, tally]) => complaints(phase, tally, plane)),
		...lostChildren(lost),
		...lateness(registered),
		...(typeof found === "string" ? [`the new worker was not found: ${found}`] : []),
	];
	const newWorkerFoundMs = typeof found === "string" ? null : found;
	report(
		{
			bench: "outage",
			machine: describeMachine(),
			minutes: Number(options.minutes),
			requestPlane: plane,
			requestsPerSecond: Number(options.rate),
			...phases.tallies,
			...{ keys: announced.keys.length, registeredMs: registered.completeMs, newWorkerFoundMs },
		},
		[
			...Object.entries(phases.tallies).flatMap(([phase, tally]) => rows(phase, tally)),
			["processes", `${lost.length} ended by themselves`],
			[
				"etcd",
				`all ${announced.keys.length} keys for good ${registered.completeMs ?? "never"} ms after its restart`,
			],
			["new worker", `known to the frontend ${newWorkerFoundMs ?? "never"} ms after it was ready`],
		],
		reasons,
	);
}

/** Time from when a worker that is started now is ready to when the frontend knows it, ms; or why it does not. */
async function newWorkerFound(fleet: Fleet): Promise<number | string> {
	try {
		await fleet.addWorker();
		return Math.round(await fleet.untilInstances(WORKERS + 1, CONVERGE_MS));
	} catch (error) {
		return (error as Error).message;
	}
}

/** Nothing may fail over tcp. NATS cannot carry requests while it is down: then they must be refused at once. */
function complaints(phase: string, { requests, failed, slowestFailureMs }: Tally, plane: string): string[] {
	if (requests === 0) return [`no request ended ${phase}`];
	const mayFail = plane === "nats" && (phase === "during" || phase === "returning");
	if (failed > 0 && !mayFail) return [`${failed} requests failed ${phase}`];
	return slowestFailureMs > REFUSE_MS ? [`a request failed only after ${slowestFailureMs} ms ${phase}`] : [];
}

function rows(phase: string, { requests, failed, slowestFailureMs, errors }: Tally): [string, string][] {
	const slowest = failed > 0 ? `, the slowest after ${slowestFailureMs} ms` : "";
	return [
		[phase, `${requests} requests, ${failed} failed${slowest}`],
		...Object.entries(errors).map(([text, count]): [string, string] => ["", `${count} × ${text}`]),
	];
}

function lateness({ completeMs, missing }: Registration): string[] {
	if (completeMs === null) return [`missing in etcd: ${missing.join(", ")}`];
	return completeMs > CONVERGE_MS ? [`registered only ${completeMs} ms after the restart`] : [];
}
