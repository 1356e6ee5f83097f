// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, it } from "vitest";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { ProxiedWorker } from "./proxied-worker.js";
import { type OpenStream, openStream, paced, spread, streamOnce } from "./streams.js";

let deployment: Deployment;
let frontend: DynProcess;
/** One worker behind a proxy, another one beside it. */
let far: ProxiedWorker;
let undisturbed: string;

beforeEach(async () => {
	deployment = new Deployment();
	frontend = await deployment.frontend();
	[far] = await Promise.all([ProxiedWorker.start(deployment), deployment.light()]);
	await untilInstances(frontend, 2);
	undisturbed = (await streamOnce(frontend, paced("Count", 400, 0))).text;
});

afterEach(async () => {
	await far[Symbol.asyncDispose]();
	await deployment[Symbol.asyncDispose]();
});

/** Streams that last for 8 s, once all have begun: every second one at the far worker. */
async function running(count: number): Promise<OpenStream[]> {
	const streams = Array.from({ length: count }, () => openStream(frontend, paced("Count", 400, 20)));
	await Promise.all(streams.map(({ began }) => began));
	return streams;
}

/** All streams are whole and no client saw anything. Returns their longest pauses. */
async function unhurt(streams: readonly OpenStream[]): Promise<number[]> {
	const ends = await Promise.all(streams.map(({ ended }) => ended));
	for (const { error, text, completionTokens } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed);
		expect(completionTokens).toBe(400);
	}
	return ends.map(({ longestPauseMs }) => longestPauseMs);
}

const countOf = (word: "begin" | "abort") =>
	[...far.process.output.matchAll(new RegExp(`^${word} `, "gm"))].length;

it("survives a slow, jittery, thin connection that delivers in crumbs, without a move", async () => {
	for (const each of [far.proxy.up, far.proxy.down])
		Object.assign(each, { latencyMs: 20, jitterMs: 30, bytesPerSecond: 200_000, sliceBytes: 7 });
	const pauses = await unhurt(await running(16));
	console.log(`F9 bad weather: pause ${spread(pauses)}`);
	expect(await metricSum(frontend, "dynamo_frontend_model_migration_total")).toBe(0);
});

it("moves streams whose connection is reset, and connects again", async () => {
	const streams = await running(32);
	far.proxy.reset();
	const pauses = await unhurt(streams);
	console.log(`F9 reset: pause ${spread(pauses)}`);
	expect(Math.max(...pauses)).toBeLessThan(1500);
	// The worker stopped what nobody hears: each was executed once at a time.
	expect(countOf("abort")).toBe(16);
	const before = countOf("begin");
	await eventually("the worker gets requests again", async () => {
		expect((await streamOnce(frontend, paced("Count", 2, 0))).error).toBe(null);
		return countOf("begin") > before;
	});
});

it("notices a black hole within two heartbeats, also when no token was due", async () => {
	const streams = await running(32);
	// Their first token takes longer than the test may last: only heartbeats can tell that it will never come.
	const patient = Array.from({ length: 2 }, () => openStream(frontend, paced("Count", 1, 5000)));
	await eventually("the worker has one of them", async () =>
		patient.some(({ requestId }) => far.process.output.includes(`begin ${requestId}\n`)),
	);
	far.proxy.blackhole();
	const began = process.hrtime.bigint();
	const pauses = await unhurt(streams);
	const stopped = [...far.process.output.matchAll(/^abort \S+ (\d+)$/gm)].map(
		([, ns]) => Number(BigInt(ns!) - began) / 1e6,
	);
	expect(stopped.length).toBeGreaterThanOrEqual(16);
	expect(Math.max(...stopped)).toBeLessThan(6500);
	const whileIsolated = await streamOnce(frontend, paced("Count", 2, 0));
	expect(whileIsolated.error).toBe(null);
	for (const { error, firstTokenMs } of await Promise.all(patient.map(({ ended }) => ended))) {
		expect(error).toBe(null);
		expect(firstTokenMs).toBeLessThan(5000 + 6000 + 500);
	}
	console.log(`F9 black hole: pause ${spread(pauses)}; its worker stopped them after ${spread(stopped)}`);
	expect(Math.max(...pauses)).toBeLessThan(6000);
	far.proxy.heal();
	const before = countOf("begin");
	await eventually(
		"the worker gets requests again",
		async () => {
			expect((await streamOnce(frontend, paced("Count", 2, 0))).error).toBe(null);
			return countOf("begin") > before;
		},
		20_000,
	);
});

it.each([
	["answers are lost", "down"],
	["requests are lost", "up"],
] as const)("moves streams when %s on the way and the other direction works", async (_, direction) => {
	const streams = await running(32);
	far.proxy[direction].dropped = true;
	const pauses = await unhurt(streams);
	console.log(`F9 ${direction} lost: pause ${spread(pauses)}`);
	expect(Math.max(...pauses)).toBeLessThan(7000);
	await eventually("the worker stops its streams", async () => countOf("abort") >= 16, 8000);
});

it("moves streams of a worker that died without a word (half-open)", async () => {
	const streams = await running(32);
	for (const each of [far.proxy.up, far.proxy.down]) each.endHidden = true;
	far.process.kill("SIGKILL");
	const pauses = await unhurt(streams);
	console.log(`F9 half-open: pause ${spread(pauses)}`);
	expect(Math.max(...pauses)).toBeLessThan(6000);
});
