// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from "vitest";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Clients } from "./clients.js";
import { Deployment, instancesOf, untilInstances } from "./deployment.js";
import { greedy, openStream, type StreamEnd, spread, streamOnce } from "./streams.js";

let deployment: Deployment;
let frontend: DynProcess;
let workers: DynProcess[];
let undisturbed: string;
const story = greedy("A short story:", 60);

beforeEach(async () => {
	deployment = new Deployment();
	frontend = await deployment.frontend();
	const args = ["--grace-period", "1", "--system-port", "0"];
	workers = await Promise.all([deployment.worker(args), deployment.worker(args)]);
	await untilInstances(frontend, 2);
	const ends = await Promise.all([streamOnce(frontend, story), streamOnce(frontend, story)]);
	undisturbed = ends[0]!.text;
	expect(ends[1]).toMatchObject({ text: undisturbed, error: null });
});

afterEach(() => deployment[Symbol.asyncDispose]());

async function running(count: number) {
	const streams = Array.from({ length: count }, () => openStream(frontend, story));
	await Promise.all(streams.map(({ began }) => began));
	return streams;
}

function whole(ends: readonly StreamEnd[]): void {
	for (const { error, text, completionTokens } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed);
		expect(completionTokens).toBe(60);
	}
}

/** Status of a health check, or null when nobody answers. */
const health = ({ address }: DynProcess) =>
	fetch(`${address}/health`).then(
		({ status }) => status,
		() => null,
	);

/** Sends SIGTERM and resolves with the time until health says so, ms. */
async function terminate(each: DynProcess): Promise<number> {
	const began = performance.now();
	each.kill("SIGTERM");
	while ((await health(each)) === 200) if (performance.now() - began > 5000) throw new Error("still ready");
	return performance.now() - began;
}

it("drains a worker: its streams end, requests go on, it exits with 0", async () => {
	const streams = await running(16);
	const unreadyMs = await terminate(workers[0]!);
	const ends: StreamEnd[] = [];
	const left = untilInstances(frontend, 1);
	let exited = false;
	void workers[0]!.exited.then(() => {
		exited = true;
	});
	while (!exited) ends.push(await streamOnce(frontend, greedy("The sea", 4)));
	console.log(
		`F21 worker: not ready after ${unreadyMs.toFixed(0)} ms, out of routing after ${(await left).toFixed(0)} ms; ${ends.length} requests meanwhile, ${spread(ends.map(({ firstTokenMs }) => firstTokenMs))}`,
	);
	expect(await workers[0]!.exited).toEqual({ code: 0, signal: null });
	expect(ends.filter(({ error }) => error !== null)).toEqual([]);
	whole(await Promise.all(streams.map(({ ended }) => ended)));
	expect(unreadyMs).toBeLessThan(100);
});

it("drains both workers one after the other while a third takes over, without an error", async () => {
	const clients = new Clients(new Array(3).fill(frontend), story);
	await deployment.worker();
	await untilInstances(frontend, 3);
	for (const worker of workers) {
		worker.kill("SIGTERM");
		expect(await worker.exited).toEqual({ code: 0, signal: null });
	}
	expect((await instancesOf(frontend)).length).toBe(1);
	await clients.stop();
	whole(clients.ends);
});

it("moves streams off a worker that a second signal ends", async () => {
	const streams = await running(8);
	await terminate(workers[0]!);
	const began = performance.now();
	workers[0]!.kill("SIGTERM");
	expect(await workers[0]!.exited).toEqual({ code: 130, signal: null });
	expect(performance.now() - began).toBeLessThan(1000);
	whole(await Promise.all(streams.map(({ ended }) => ended)));
});

it("drains the frontend: not ready at once, running streams end, new ones get 503, it exits with 0", async () => {
	const streams = await running(16);
	const unreadyMs = await terminate(frontend);
	console.log(`F21 frontend: not ready after ${unreadyMs.toFixed(0)} ms`);
	const refused = await streamOnce(frontend, story);
	expect(refused.status).toBe(503);
	whole(await Promise.all(streams.map(({ ended }) => ended)));
	expect(await frontend.exited).toEqual({ code: 0, signal: null });
	expect(unreadyMs).toBeLessThan(100);
	expect(workers.every(({ running }) => running)).toBe(true);
});

it("ends the frontend at once on a second signal, and the workers stop what nobody hears", async () => {
	const streams = await running(8);
	await terminate(frontend);
	frontend.kill("SIGTERM");
	expect(await frontend.exited).toEqual({ code: 130, signal: null });
	await Promise.all(streams.map(({ ended }) => ended));
	for (const { address } of workers)
		await eventually(
			"no KV block is held",
			async () =>
				/^dyn_engine_active_kv_blocks\S* 0$/m.test(await (await fetch(`${address}/metrics`)).text()),
			2000,
		);
});
