// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { ChaosProxy } from "../../chaos-proxy.js";
import { eventually } from "../../server-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { bytesInKernel } from "./socket-queues.js";
import { openStream, paced, percentile, spread, streamOnce } from "./streams.js";

it("serves 100 fast clients beside 100 that do not read, which cost it little memory", async () => {
	await using deployment = new Deployment();
	const [frontend, worker] = await Promise.all([deployment.frontend(), deployment.light()]);
	await untilInstances(frontend!, 1);
	const [short, long] = await Promise.all(
		[200, 4000].map((tokens) => streamOnce(frontend!, paced("Count", tokens, 0))),
	);
	// Twenty whose tokens come faster than anybody reads, the others at the pace of a model.
	const slow = Array.from({ length: 100 }, (_, index) =>
		openStream(frontend!, paced("Count", 4000, index < 20 ? 0 : 100)),
	);
	for (const each of slow) void each.began.then(() => each.pause());
	await Promise.all(slow.map(({ began }) => began));
	const before = frontend!.residentMiB;
	const fast = Array.from({ length: 100 }, () => openStream(frontend!, paced("Count", 200, 25)));
	const ends = await Promise.all(fast.map(({ ended }) => ended));
	const grown = frontend!.residentMiB - before;
	console.log(
		`F8 fast beside slow: longest pauses ${spread(ends.map(({ longestPauseMs }) => longestPauseMs))}; the frontend grew by ${grown.toFixed(0)} MiB`,
	);
	for (const { error, text } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(short!.text);
	}
	expect(Math.max(...ends.map(({ longestPauseMs }) => longestPauseMs))).toBeLessThan(1000);
	// At most 256 KiB per stream on either side of the multiplexed connection, and what Node needs to hold it.
	expect(grown).toBeLessThan(150);

	for (const each of slow) each.resume();
	for (const { ended } of slow.slice(0, 20))
		expect(await ended).toMatchObject({ error: null, text: long!.text });
	for (const each of slow.slice(20)) each.reset();
	await eventually(
		"nothing runs any more",
		async () => (await metricSum(frontend!, "dynamo_frontend_inflight_requests")) === 0,
	);
	await eventually(
		"the worker stopped the 80",
		async () => [...worker!.output.matchAll(/^abort /gm)].length === 80,
		2000,
	);
});

/** What worker and frontend together may hold of a stream that nobody reads, as bytes between them. */
const WINDOW_BYTES = 256 * 1024;
/** Frames' heads, and what the frontend has written for the client that the kernel did not take. */
const BESIDE_BYTES = 128 * 1024;

it("holds 256 KiB of a stream that nobody reads, then no more of it is generated, beside clients that read 1 KiB/s", async () => {
	await using deployment = new Deployment();
	const [frontend, worker] = await Promise.all([deployment.frontend(), deployment.light()]);
	await untilInstances(frontend!, 1);
	await using thin = await ChaosProxy.start(`127.0.0.1:${frontend!.port}`);
	thin.down.bytesPerSecond = 1024;
	const before = worker!.bytesWritten;
	const sample = openStream(frontend!, paced("Count", 5000, 0));
	expect((await sample.ended).error).toBe(null);
	/** Of one token, between frontend and client, and between worker and frontend. */
	const [clientBytes, planeBytes] = [sample.bytesRead / 5000, (worker!.bytesWritten - before) / 5000];

	const endless = paced("Count", 1_000_000, 0);
	const unread = Array.from({ length: 4 }, () => openStream(frontend!, endless));
	for (const each of unread) void each.began.then(() => each.pause());
	const trickles = Array.from({ length: 30 }, () =>
		openStream({ port: Number(thin.address.split(":")[1]) }, paced("Count", 10_000, 20)),
	);
	await Promise.all([...unread, ...trickles].map(({ began }) => began));
	const fast = Array.from({ length: 200 }, () => openStream(frontend!, paced("Count", 100, 50)));
	const ends = await Promise.all(fast.map(({ ended }) => ended));

	/** Tokens that the engine was asked for, of each unread stream. */
	async function taken(): Promise<number[]> {
		const from = worker!.output.length;
		worker!.kill("SIGUSR2");
		await eventually("the worker has counted", async () => worker!.output.includes("taken all", from));
		const counts = new Map(
			[...worker!.output.slice(from).matchAll(/^taken (\S+) (\d+)$/gm)].map(([, id, count]) => [
				id,
				Number(count),
			]),
		);
		return unread.map(({ requestId }) => counts.get(requestId) ?? Number.NaN);
	}
	let counts = await taken();
	await eventually(
		"the engine stands still for those whom nobody reads",
		async () => {
			const before = counts;
			counts = await taken();
			return counts.every((count, index) => count === before[index]);
		},
		30_000,
	);
	const held = unread.map(
		({ bytesRead, localPort }, index) =>
			(counts[index]! - (bytesRead + bytesInKernel(frontend!.port, localPort)) / clientBytes) * planeBytes,
	);
	const pauses = ends.map(({ longestPauseMs }) => longestPauseMs);
	console.log(
		`F8 fast beside 30 at 1 KiB/s: longest pauses ${spread(pauses)}; held of each unread stream: ${held.map((bytes) => `${(bytes / 1024).toFixed(0)} KiB`).join(", ")}, with ${counts.join(", ")} tokens generated`,
	);
	for (const { error } of ends) expect(error).toBe(null);
	expect(percentile(pauses, 0.99)).toBeLessThan(1000);
	for (const bytes of held) {
		expect(bytes).toBeGreaterThan(0);
		expect(bytes).toBeLessThan(WINDOW_BYTES + BESIDE_BYTES);
	}
	for (const each of [...unread, ...trickles]) each.reset();
});
