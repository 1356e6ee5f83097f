// SPDX-License-Identifier: Apache-2.0
import { cpus } from "node:os";
import { cpuTicks, processTicks } from "./machine.js";
import { type Load, runLoad } from "./plane-load.js";
import type { PlaneRig } from "./plane-rig.js";
import type { Pace } from "./plane-workload.js";
import { quantile } from "./statistics.js";

export interface Workload extends Load {
	readonly pace: Pace;
}

/** Figures of one run. CPU is of user and kernel, in both processes and, with nats, in the server. */
export interface PlaneRun {
	readonly requestsPerSecond: number;
	readonly requestsPerCpuSecond: number;
	readonly tokensPerCpuSecond: number;
	readonly cpuMsPerRequest: number;
	readonly callerCpuMsPerRequest: number;
	readonly workerCpuMsPerRequest: number;
	readonly brokerCpuMsPerRequest: number;
	readonly firstItemMicrosP50: number;
	readonly firstItemMicrosP99: number;
	readonly tokenMicrosP50: number;
	readonly tokenMicrosP99: number;
	/** Share of the machine's CPU that others used meanwhile, 0..1. */
	readonly foreign: number;
}

/** A run with more foreign load than this is repeated once. */
const QUIET_SHARE = 0.1;

/** @param brokerPid of the nats-server, 0 for none */
export async function quietPlaneRun(rig: PlaneRig, workload: Workload, brokerPid: number): Promise<PlaneRun> {
	for (let attempt = 0; ; attempt++) {
		const run = await planeRun(rig, workload, brokerPid);
		if (run.foreign <= QUIET_SHARE || attempt === 1) return run;
	}
}

async function planeRun(rig: PlaneRig, workload: Workload, brokerPid: number): Promise<PlaneRun> {
	const machineBefore = cpuTicks();
	const workerBefore = await rig.workerCpuMs();
	const brokerBefore = processTicks(brokerPid);
	const callerBefore = process.cpuUsage();
	const { requests, seconds, firstItemMicros, tokenMicros } = await runLoad(
		rig.clients[workload.pace],
		workload,
	);
	const caller = process.cpuUsage(callerBefore);
	const callerMs = (caller.user + caller.system) / 1000;
	const brokerMs = (processTicks(brokerPid) - brokerBefore) * TICK_MS;
	const workerMs = (await rig.workerCpuMs()) - workerBefore;
	const machine = cpuTicks();
	const cpuMs = callerMs + workerMs + brokerMs;
	const busyMs = (machine.busy - machineBefore.busy) * TICK_MS;
	return {
		requestsPerSecond: requests / seconds,
		requestsPerCpuSecond: (requests / cpuMs) * 1000,
		tokensPerCpuSecond: (tokenMicros.length / cpuMs) * 1000,
		cpuMsPerRequest: cpuMs / requests,
		callerCpuMsPerRequest: callerMs / requests,
		workerCpuMsPerRequest: workerMs / requests,
		brokerCpuMsPerRequest: brokerMs / requests,
		firstItemMicrosP50: quantile(firstItemMicros, 0.5),
		firstItemMicrosP99: quantile(firstItemMicros, 0.99),
		tokenMicrosP50: quantile(tokenMicros, 0.5),
		tokenMicrosP99: quantile(tokenMicros, 0.99),
		foreign: Math.max(0, busyMs - cpuMs) / (seconds * 1000 * cpus().length),
	};
}

/** The kernel reports CPU time of other processes in hundredths of a second. */
const TICK_MS = 10;
