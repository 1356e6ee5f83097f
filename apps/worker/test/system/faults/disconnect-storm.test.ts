// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { createRequestContext } from "@dyn/common";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { DynProcess } from "../../dyn-process.js";
import { eventually } from "../../server-process.js";
import { Deployment, metricSum, untilInstances } from "./deployment.js";
import { type OpenStream, openStream, paced, percentile, spread, streamOnce } from "./streams.js";

let deployment: Deployment;
let frontend: DynProcess;
let worker: DynProcess;
let undisturbed: string;

beforeAll(async () => {
	deployment = new Deployment();
	[frontend, worker] = await Promise.all([deployment.frontend(["--log-level", "warn"]), deployment.light()]);
	await untilInstances(frontend, 1);
	undisturbed = (await streamOnce(frontend, paced("Beside", 300, 0))).text;
});
afterAll(() => deployment?.[Symbol.asyncDispose]());

/** When the worker heard of aborts, by request id, monotonic ns. */
const aborts = (from: number) =>
	new Map(
		[...worker.output.slice(from).matchAll(/^abort (\S+) (\d+)$/gm)].map(([, id, ns]) => [id!, BigInt(ns!)]),
	);

it("aborts within 100 ms what a client leaves, across processes", async () => {
	const from = worker.output.length;
	const left = new Map<string, bigint>();
	for (let round = 0; round < 10; round++) {
		const streams = Array.from({ length: 20 }, () => openStream(frontend, paced("Leave", 1000, 50)));
		await Promise.all(streams.map(({ began }) => began));
		for (const stream of streams) {
			left.set(stream.requestId, process.hrtime.bigint());
			stream.reset();
			await new Promise(setImmediate);
		}
		await Promise.all(streams.map(({ ended }) => ended));
	}
	await eventually("200 aborts", async () => aborts(from).size === 200);
	const ms = [...aborts(from)].map(([id, ns]) => Number(ns - left.get(id)!) / 1e6);
	console.log(`F7 from a client's reset to the engine's abort, 200 times: ${spread(ms)}`);
	expect(percentile(ms, 0.99)).toBeLessThan(100);
});

/** Opens so many streams, a few hundred at a time: more would only wait in the kernel's queue of new connections. */
async function openMany(count: number): Promise<OpenStream[]> {
	const streams: OpenStream[] = [];
	while (streams.length < count) {
		const portion = Array.from({ length: Math.min(250, count - streams.length) }, () =>
			openStream(frontend, paced("Storm", 1000, 60_000)),
		);
		streams.push(...portion);
		const wanted = new Set(portion.map(({ requestId }) => requestId));
		await eventually(
			"the worker has begun them",
			async () => {
				for (const [, id] of worker.output.slice(-40_000).matchAll(/^begin (\S+)$/gm)) wanted.delete(id!);
				return wanted.size === 0;
			},
			30_000,
		);
	}
	return streams;
}

it("aborts thousands of streams that are reset at once, and hurts none beside them", async () => {
	// Each stream is a descriptor here and one at the frontend.
	const limit = Number(/Max open files\s+(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))![1]);
	const count = Math.min(10_000, limit - 500);
	const filesBefore = frontend.openFiles;
	const from = worker.output.length;
	const began = performance.now();
	const streams = await openMany(count);
	const openedMs = performance.now() - began;
	const beside = Array.from({ length: 8 }, () => openStream(frontend, paced("Beside", 300, 20)));
	await Promise.all(beside.map((each) => each.began));

	const resetAt = process.hrtime.bigint();
	for (const stream of streams) stream.reset();
	await eventually("every stream is aborted", async () => aborts(from).size === count, 10_000);
	const ms = [...aborts(from).values()].map((ns) => Number(ns - resetAt) / 1e6);
	const ends = await Promise.all(beside.map(({ ended }) => ended));
	console.log(
		`F7 ${count} streams, opened in ${(openedMs / 1000).toFixed(1)} s, reset at once: aborted after ${spread(ms)}; streams beside them: longest pause ${Math.max(...ends.map(({ longestPauseMs }) => longestPauseMs)).toFixed(0)} ms`,
	);
	expect(Math.max(...ms)).toBeLessThan(2000);
	for (const { error, text } of ends) {
		expect(error).toBe(null);
		expect(text).toBe(undisturbed);
	}
	await eventually("descriptors are closed", async () => frontend.openFiles <= filesBefore + 5);
	expect(await metricSum(frontend, "dynamo_frontend_inflight_requests")).toBe(0);
});

it("cancels 10,000 streams of one multiplexed connection, and hurts none beside them", async () => {
	const runtime = await createRuntime({
		discovery: createFileStore({ directory: deployment.folder }),
		requestPlanes: [createTcpPlane()],
	});
	const client = runtime.endpoint("dynamo.backend.generate").client();
	const from = worker.output.length;
	const leave = new AbortController();
	setMaxListeners(0, leave.signal);
	const many = Array.from({ length: 10_000 }, async (_, index) => {
		const request = {
			model: "light",
			token_ids: [1, 2, 3],
			stop_conditions: { max_tokens: 1000 },
			sampling_options: { seed: 60_000 },
			output_options: {},
			eos_token_ids: [],
			annotations: [],
		};
		try {
			for await (const _ of client.generate(
				request,
				createRequestContext({ id: `m${index}`, signal: leave.signal }),
			));
		} catch {
			// cancelled
		}
	});
	await eventually(
		"the worker has begun them",
		async () => [...worker.output.slice(from).matchAll(/^begin m/gm)].length === many.length,
		30_000,
	);
	const beside = openStream(frontend, paced("Beside", 300, 20));
	await beside.began;
	const leftAt = process.hrtime.bigint();
	leave.abort();
	await Promise.all(many);
	await eventually("every stream is aborted", async () => aborts(from).size === many.length);
	const ms = [...aborts(from).values()].map((ns) => Number(ns - leftAt) / 1e6);
	console.log(`F7 10,000 streams of one connection cancelled at once: aborted after ${spread(ms)}`);
	expect(Math.max(...ms)).toBeLessThan(2000);
	expect(await beside.ended).toMatchObject({ error: null, text: undisturbed });
	await client.close();
	await runtime.close();
});
