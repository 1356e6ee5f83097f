// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { openStream, paced, type StreamEnd, spread, streamOnce } from "./streams.js";

const seconds = (count: number) => new Promise((resolve) => setTimeout(resolve, count * 1000));

/** Ids of the requests that a light worker has begun since its output was `from` long. */
const begun = (worker: DynProcess, from: number): string[] =>
	[...worker.output.slice(from).matchAll(/^begin (\S+)$/gm)].map(([, id]) => id!);

it("moves streams off a frozen worker, drops what it says late, and asks it before it trusts it again", async () => {
	await using deployment = new Deployment();
	const frontend = await deployment.frontend();
	const [frozen] = await Promise.all([deployment.light(), deployment.light()]);
	await untilInstances(frontend, 2);
	const undisturbed = await streamOnce(frontend, paced("Count", 250, 0));

	const streams = Array.from({ length: 32 }, () => openStream(frontend, paced("Count", 250, 20)));
	await Promise.all(streams.map(({ began }) => began));
	frozen!.kill("SIGSTOP");
	await seconds(4);
	const quarantined = /instance is silent: it gets no requests/;
	expect(frontend.output).toMatch(quarantined);
	const whileFrozen = await Promise.all(
		Array.from({ length: 8 }, () => streamOnce(frontend, paced("Count", 5, 0))),
	);
	const thawedAt = frozen!.output.length;
	frozen!.kill("SIGCONT");

	const ends = await Promise.all(streams.map(({ ended }) => ended));
	console.log(`F3 frozen 4 s: pause ${spread(ends.map(({ longestPauseMs }) => longestPauseMs))}`);
	for (const { error, text } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed.text);
	}
	for (const { error, firstTokenMs } of whileFrozen) {
		expect(error).toBe(null);
		expect(firstTokenMs).toBeLessThan(1000);
	}
	// All that it had been asked for before was cancelled while it slept.
	const aborted = () => [...frozen!.output.slice(thawedAt).matchAll(/^abort (\S+) /gm)].length;
	await eventually("the thawed worker stops its 16 streams", async () => aborted() >= 16);

	const sent: string[] = [];
	await eventually("the thawed worker gets requests again", async () => {
		const probe = openStream(frontend, paced("Count", 2, 0));
		sent.push(probe.requestId);
		expect((await probe.ended).error).toBe(null);
		return begun(frozen!, thawedAt).some((id) => sent.includes(id));
	});
	const order = begun(frozen!, thawedAt);
	expect(frontend.output).toContain("instance answers again");
	// The frontend's own health check has an id that no client chose.
	const check = order.findIndex((id) => !id.startsWith("r"));
	expect(check).toBeGreaterThanOrEqual(0);
	expect(check).toBeLessThan(order.findIndex((id) => sent.includes(id)));
});

it("forgets a worker that is frozen for a minute, mixes nothing of it in, and takes it back after a check", async () => {
	await using deployment = new Deployment();
	const frontend = await deployment.frontend();
	const [frozen] = await Promise.all([deployment.light(), deployment.light()]);
	await untilInstances(frontend, 2);
	// Some are over long before it thaws. The others are not: what it still has to say of them comes while they run.
	const bodies = [paced("Count", 200, 20), paced("Count", 800, 90)];
	const [short, long] = await Promise.all(bodies.map((body) => streamOnce(frontend, { ...body, seed: 0 })));
	const streams = bodies.map((body) => Array.from({ length: 8 }, () => openStream(frontend, body)));
	await Promise.all(streams.flat().map(({ began }) => began));
	const atFrozen = begun(frozen!, 0);
	frozen!.kill("SIGSTOP");
	const frozenAt = performance.now();
	let leftMs = Number.POSITIVE_INFINITY;
	const left = untilInstances(frontend, 1, 30_000).then((ms) => {
		leftMs = ms;
	});
	const ends: StreamEnd[] = [];
	while (performance.now() - frozenAt < 60_000) ends.push(await streamOnce(frontend, paced("Count", 5, 20)));
	await left;
	const thawedAt = frozen!.output.length;
	frozen!.kill("SIGCONT");
	const backMs = await untilInstances(frontend, 2, 20_000);
	const sent: string[] = [];
	await eventually("it gets requests again", async () => {
		const probe = openStream(frontend, paced("Count", 2, 0));
		sent.push(probe.requestId);
		ends.push(await probe.ended);
		return begun(frozen!, thawedAt).some((id) => sent.includes(id));
	});
	const order = begun(frozen!, thawedAt);
	// What it was asked just before it was found silent may still begin: that lay in its socket.
	const check = order.findIndex((id) => !id.startsWith("r"));
	expect(check).toBeGreaterThanOrEqual(0);
	expect(check).toBeLessThan(order.findIndex((id) => sent.includes(id)));
	for (const [index, each] of streams.entries())
		for (const { ended } of each) {
			const { error, text } = await ended;
			expect(error).toBe(null);
			expect(text).toBe([short, long][index]!.text);
		}
	const stopped = [...frozen!.output.matchAll(/^abort (\S+) /gm)].map(([, id]) => id);
	for (const { requestId } of streams.flat())
		if (atFrozen.includes(requestId)) expect(stopped).toContain(requestId);
	console.log(
		`F3 frozen for 60 s: out of discovery after ${(leftMs / 1000).toFixed(1)} s, back ${(backMs / 1000).toFixed(1)} s after it thawed; ${ends.length} requests, longest pause ${Math.max(...ends.map(({ longestPauseMs, firstTokenMs }) => Math.max(longestPauseMs || 0, firstTokenMs))).toFixed(0)} ms`,
	);
	expect(ends.filter(({ error }) => error !== null)).toEqual([]);
	expect(await metricSum(frontend, "dynamo_frontend_model_migration_total")).toBeGreaterThanOrEqual(8);
});
