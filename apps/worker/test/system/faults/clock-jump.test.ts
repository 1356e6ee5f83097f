// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
// @boundaries-ignore one helper starts this server for the tests of every package
import { EtcdServer, etcdMissing } from "../../../../../packages/runtime/test/etcd-server.js";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, instancesOf, metricSum, untilInstances } from "./deployment.js";
import { openStream, paced, spread, streamOnce } from "./streams.js";

const HOUR_MS = 3_600_000;
/** Until every lease of 10 s would have ended, had somebody measured it with a clock that jumped the other way. */
const LONGER_THAN_LEASES_MS = 12_000;

const preload = new URL("./clock-shift.mjs", import.meta.url).href;

/** Processes whose wall clocks can be set. */
class ShiftedFleet implements AsyncDisposable {
	readonly deployment: Deployment;
	readonly #clocks: string[] = [];

	constructor(etcd: string | null) {
		this.deployment = new Deployment(etcd);
	}

	/** Environment of a process with the clock `name`, that is right. */
	env(name: string): NodeJS.ProcessEnv {
		const clock = join(this.deployment.folder, `.clock-${name}`);
		writeFileSync(clock, "0");
		this.#clocks.push(clock);
		return { NODE_OPTIONS: `--import=${preload}`, CLOCK_SHIFT_FILE: clock };
	}

	/** Sets all clocks, in the order of `env`; resolves when every process has seen it. */
	async set(...shiftsMs: readonly number[]): Promise<void> {
		const { processes } = this.deployment;
		const heard = () => processes.map(({ output }) => output.split("wall clock shifted by").length);
		const before = heard();
		for (const [index, shiftMs] of shiftsMs.entries()) writeFileSync(this.#clocks[index]!, String(shiftMs));
		await eventually("everybody's clock has jumped", async () =>
			heard().every((count, index) => count > before[index]!),
		);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.deployment[Symbol.asyncDispose]();
	}
}

const missing = etcdMissing();
if (missing) console.warn(`clocks that jump beside etcd are not tested: ${missing}`);

let etcd: EtcdServer | null = null;
afterEach(() => etcd?.dispose());

describe.each([["file"], ["etcd"]])("the wall clocks of a fleet that meets through %s", (kind) => {
	it.skipIf(kind === "etcd" && missing)("jump by an hour, apart and back, and nobody is missed", async () => {
		etcd = kind === "etcd" ? await EtcdServer.start() : null;
		await using fleet = new ShiftedFleet(etcd?.endpoint ?? null);
		const { deployment } = fleet;
		const frontend = await deployment.frontend([], { env: fleet.env("frontend") });
		await deployment.light({ env: fleet.env("first") });
		await deployment.light({ env: fleet.env("second") });
		await untilInstances(frontend, 2);
		const undisturbed = (await streamOnce(frontend, paced("Count", 40, 0))).text;

		const clients = new Clients(new Array(4).fill(frontend), paced("Count", 40, 10));
		const fewest = watchInstances(frontend);
		// One answer that takes as long as all of this: no deadline of it hangs on the wall clock.
		const long = openStream(frontend, paced("Count", 200, 90));
		await long.began;
		await fleet.set(HOUR_MS, HOUR_MS, HOUR_MS);
		await fleet.set(-HOUR_MS, HOUR_MS, -HOUR_MS);
		const jumped = performance.now();
		const late = await deployment.light({ env: fleet.env("late") }); // its clock is right, and nobody else's
		const seenMs = await untilInstances(frontend, 3, 20_000);
		await eventually("the newcomer has requests", async () => late.output.includes("begin "));
		await eventually(
			"leases had the time to end",
			async () => performance.now() - jumped > LONGER_THAN_LEASES_MS,
			20_000,
		);
		await fleet.set(0, 0, 0, 1);
		const end = await long.ended;
		await clients.stop();
		const { ends } = clients;
		console.log(
			`F16 ${kind}: ${ends.length} requests, ${spread(ends.map(({ firstTokenMs }) => firstTokenMs))} to the first token; the newcomer was seen after ${seenMs.toFixed(0)} ms`,
		);
		expect(end).toMatchObject({ error: null, completionTokens: 200 });
		for (const { error, text } of ends) {
			expect(error).toBe(null);
			expect(text).toBe(undisturbed);
		}
		expect(await fewest()).toBe(2);
		expect((await instancesOf(frontend)).length).toBe(3);
		expect(await metricSum(frontend, "dynamo_frontend_model_migration_total")).toBe(0);
		expect(deployment.processes.every(({ running }) => running)).toBe(true);
	});
});

/** Counts the instances that a frontend knows until called: the fewest that it ever knew. */
function watchInstances(frontend: DynProcess): () => Promise<number> {
	let fewest = Number.POSITIVE_INFINITY;
	let stopped = false;
	const watching = (async () => {
		while (!stopped) {
			fewest = Math.min(fewest, (await instancesOf(frontend)).length);
			await new Promise((resolve) => setTimeout(resolve, 50));
		}
	})();
	return async () => {
		stopped = true;
		await watching;
		return fewest;
	};
}
