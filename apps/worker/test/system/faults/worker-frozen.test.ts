// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { openStream, paced, spread, streamOnce } from "./streams.js";

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

it("forgets a worker that is frozen for longer than its lease, and takes it back", async () => {
	await using deployment = new Deployment();
	const frontend = await deployment.frontend();
	const [frozen] = await Promise.all([deployment.light(), deployment.light()]);
	await untilInstances(frontend, 2);
	frozen!.kill("SIGSTOP");
	const ends = [];
	let gone = false;
	const left = untilInstances(frontend, 1, 20_000).finally(() => {
		gone = true;
	});
	while (!gone) ends.push(await streamOnce(frontend, paced("Count", 5, 20)));
	const leftMs = await left;
	const thawedAt = frozen!.output.length;
	frozen!.kill("SIGCONT");
	const backMs = await untilInstances(frontend, 2, 15_000);
	await eventually("it gets requests again", async () => {
		const probe = openStream(frontend, paced("Count", 2, 0));
		ends.push(await probe.ended);
		return begun(frozen!, thawedAt).includes(probe.requestId);
	});
	console.log(
		`F3 out of discovery after ${(leftMs / 1000).toFixed(1)} s, back ${(backMs / 1000).toFixed(1)} s after it thawed; ${ends.length} requests, longest pause ${Math.max(...ends.map(({ longestPauseMs, firstTokenMs }) => Math.max(longestPauseMs || 0, firstTokenMs))).toFixed(0)} ms`,
	);
	expect(ends.filter(({ error }) => error !== null)).toEqual([]);
	expect(await metricSum(frontend, "dynamo_frontend_model_migration_total")).toBeGreaterThanOrEqual(1);
});
