// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { eventually } from "../../server-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { openStream, paced, spread, streamOnce } from "./streams.js";

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
