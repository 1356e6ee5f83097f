// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, expect, it } from "vitest";
import { DynProcess } from "../../dyn-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { greedy, openStream, paced, percentile, type StreamBody, spread, streamOnce } from "./streams.js";

/** What an undisturbed server answers. */
const texts = new Map<StreamBody, string>();
const stories = Array.from({ length: 16 }, (_, index) =>
	greedy(`Story number ${index}: once upon a time`, 40),
);
const long = Array.from({ length: 2 }, (_, index) =>
	greedy(`${index} ${"the quick brown fox jumps over the lazy dog ".repeat(80)}`, 8),
);

beforeAll(async () => {
	await using server = await DynProcess.start(["run", "--http-port", "0"]);
	for (const bodies of [stories, long]) {
		const ends = await Promise.all(bodies.map((body) => streamOnce(server, body)));
		for (const [index, { text, error }] of ends.entries()) {
			expect(error).toBe(null);
			texts.set(bodies[index]!, text);
		}
	}
});

let deployment: Deployment;
afterAll(() => deployment?.[Symbol.asyncDispose]());

async function deploy(worker: "worker" | "light") {
	await deployment?.[Symbol.asyncDispose]();
	deployment = new Deployment();
	const started = [deployment.frontend(), deployment[worker](), deployment[worker]()];
	const [frontend, first, second] = await Promise.all(started);
	await untilInstances(frontend!, 2);
	return { frontend: frontend!, first: first!, second: second! };
}

it("goes on with 64 streams when one of two workers is killed, and routes past it at once", async () => {
	const { frontend, first } = await deploy("light");
	const undisturbed = await streamOnce(frontend, paced("Count", 150, 0));
	const streams = Array.from({ length: 64 }, () => openStream(frontend, paced("Count", 150, 20)));
	await Promise.all(streams.map(({ began }) => began));
	first.kill("SIGKILL");
	const killed = performance.now();
	await first.exited;
	const after: number[] = [];
	while (performance.now() - killed < 1000) {
		const began = performance.now();
		expect((await streamOnce(frontend, paced("Count", 3, 0))).error).toBe(null);
		after.push(performance.now() - began);
	}
	const ends = await Promise.all(streams.map(({ ended }) => ended));
	const pauses = ends.map(({ longestPauseMs }) => longestPauseMs);
	const moved = await metricSum(frontend, "dynamo_frontend_model_migration_total");
	console.log(
		`F1 64 light streams: pause ${spread(pauses)}; ${moved} moved; requests of the next second ${spread(after)}`,
	);
	for (const { error, text, completionTokens } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed.text);
		expect(completionTokens).toBe(150);
	}
	expect(moved).toBeGreaterThanOrEqual(32);
	expect(percentile(pauses, 0.99)).toBeLessThan(1500);
	expect(Math.max(...after)).toBeLessThan(1000);
});

it("gives every stream of the real model the text that it would have had", async () => {
	const { frontend, first } = await deploy("worker");
	const streams = stories.map((body) => openStream(frontend, body));
	await Promise.all(streams.map(({ began }) => began));
	first.kill("SIGKILL");
	const ends = await Promise.all(streams.map(({ ended }) => ended));
	const pauses = ends.map(({ longestPauseMs }) => longestPauseMs);
	const moved = await metricSum(frontend, "dynamo_frontend_model_migration_total");
	console.log(`F1 ${stories.length} real streams: pause ${spread(pauses)}; ${moved} moved`);
	for (const [index, { error, text, completionTokens }] of ends.entries()) {
		expect(error).toBe(null);
		expect(text).toBe(texts.get(stories[index]!));
		expect(completionTokens).toBe(40);
	}
	expect(moved).toBeGreaterThanOrEqual(4);
	expect(percentile(pauses, 0.99)).toBeLessThan(1500);
});

it("starts over what was still in its prefill", async () => {
	const { frontend, second } = await deploy("worker");
	const streams = long.map((body) => openStream(frontend, body));
	// Seen by the engine, far from a token: 700 tokens of prompt take it seconds.
	await new Promise((resolve) => setTimeout(resolve, 300));
	expect(streams.map(({ tokens }) => tokens)).toEqual([0, 0]);
	second.kill("SIGKILL");
	const ends = await Promise.all(streams.map(({ ended }) => ended));
	const text = await (await fetch(`${frontend.address}/metrics`)).text();
	expect(text).toMatch(/migration_total\{.*migration_type="new_request".*\} [1-9]/);
	for (const [index, { error, text }] of ends.entries()) {
		expect(error).toBe(null);
		expect(text).toBe(texts.get(long[index]!));
	}
	console.log(`F2 first token ${spread(ends.map(({ firstTokenMs }) => firstTokenMs))}`);
});
