// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { expect, it } from "vitest";
import { createRuntime } from "../create-runtime.js";
import { MemoryStore } from "../discovery/memory-store.js";
import { createPrometheusMetrics } from "../prometheus.js";
import { createHttpPlane } from "../request-plane/http/index.js";
import { createTcpPlane } from "../request-plane/tcp/index.js";

it("count what an endpoint serves over a wire: its way, its first item, its end", async () => {
	const metrics = createPrometheusMetrics();
	const discovery = new MemoryStore();
	let now = 0;
	// The worker's clock is a minute behind its caller's: a way that took less than no time took none.
	const clock = { monotonicMs: () => now, wallMs: () => Date.now() - 60_000 };
	const worker = await createRuntime({ discovery, requestPlanes: [createTcpPlane()], metrics, clock });
	const callerMetrics = createPrometheusMetrics();
	const caller = await createRuntime({
		discovery,
		requestPlanes: [createTcpPlane()],
		metrics: callerMetrics,
		clock,
	});
	const { instance } = await worker.endpoint("a.b.c").serve(async function* (fails) {
		now += 2000;
		yield 1;
		now += 3000;
		if (fails) throw new Error("broken");
	});
	const client = caller.endpoint("a.b.c").client();
	const calls: string[] = [];
	const ask = async (fails: boolean) => {
		for await (const _ of client.generate(fails, createRequestContext()))
			calls.push(...(await callerMetrics.expose()).match(/^dynamo_request_plane_inflight_requests .*$/m)!);
	};
	await ask(false);
	await expect(ask(true)).rejects.toThrow("broken");
	await caller.close();
	await worker.close();
	await discovery.close();
	const labels = '{dynamo_namespace="a",dynamo_component="b",dynamo_endpoint="c",worker_id="'.concat(
		instance.id.toString(16),
		'"}',
	);
	const text = await metrics.expose();
	for (const line of [
		`dynamo_component_requests_total${labels} 2`,
		`dynamo_component_inflight_requests${labels} 0`,
		`dynamo_component_cancellation_total${labels} 0`,
		`dynamo_component_request_duration_seconds_sum${labels} 10`,
		"dynamo_work_handler_time_to_first_response_seconds_sum 4",
		"dynamo_work_handler_time_to_first_response_seconds_count 2",
		"dynamo_work_handler_network_transit_seconds_sum 0",
		"dynamo_work_handler_network_transit_seconds_count 2",
		`dynamo_component_errors_total${labels.replace("}", ',error_type="generate"}')} 1`,
	])
		expect(text.split("\n")).toContain(line);
	expect(calls).toEqual(new Array(2).fill("dynamo_request_plane_inflight_requests 1"));
	const called = (await callerMetrics.expose()).split("\n");
	expect(called).toContain("dynamo_request_plane_inflight_requests 0");
	expect(called).toContain("dynamo_request_plane_roundtrip_ttft_seconds_count 2");
	const sum = called.find((line) => line.startsWith("dynamo_request_plane_roundtrip_ttft_seconds_sum "))!;
	expect(Number(sum.split(" ")[1])).toBeGreaterThanOrEqual(4);
});

it.each([
	["multiplexed", createTcpPlane({ multiplexed: true })],
	["home-calling", createTcpPlane({ multiplexed: false })],
	["HTTP", createHttpPlane()],
])("count the bytes of a request and its answer over a %s connection", async (_name, plane) => {
	const metrics = createPrometheusMetrics();
	const discovery = new MemoryStore();
	const worker = await createRuntime({ discovery, requestPlanes: [plane], metrics });
	const callerPlanes = [createTcpPlane(), createHttpPlane()];
	const caller = await createRuntime({ discovery, requestPlanes: callerPlanes });
	const { instance } = await worker.endpoint("a.b.c").serve(async function* () {
		yield "y".repeat(2000);
		yield "y".repeat(3000);
	});
	expect(instance.multiplexed).toBe(_name === "multiplexed");
	for await (const _ of caller.endpoint("a.b.c").client().generate("x".repeat(1000), createRequestContext()));
	await caller.close();
	await worker.close();
	await discovery.close();
	const text = await metrics.expose();
	const bytes = (way: string) =>
		Number(new RegExp(`^dynamo_component_${way}_bytes_total\\{.*\\} (\\d+)$`, "m").exec(text)?.[1]);
	// What is carried, and a frame or two around it.
	expect(bytes("request") - 1000).toBeGreaterThan(0);
	expect(bytes("request") - 1000).toBeLessThan(500);
	expect(bytes("response") - 5000).toBeGreaterThan(0);
	expect(bytes("response") - 5000).toBeLessThan(500);
});

it("count who waits for a turn and who is refused", async () => {
	const metrics = createPrometheusMetrics();
	const discovery = new MemoryStore();
	const plane = createTcpPlane({ maxRunning: 1, maxWaiting: 1, metrics });
	const worker = await createRuntime({ discovery, requestPlanes: [plane] });
	const caller = await createRuntime({ discovery, requestPlanes: [createTcpPlane()] });
	let finish = () => {};
	const mayFinish = new Promise<void>((resolve) => {
		finish = resolve;
	});
	await worker.endpoint("a.b.c").serve(async function* () {
		yield 1;
		await mayFinish;
	});
	const client = caller.endpoint("a.b.c").client();
	const ask = () => client.generate(null, createRequestContext())[Symbol.asyncIterator]();
	const running = ask();
	await running.next();
	const waiting = ask();
	const its = waiting.next();
	await expect(ask().next()).rejects.toThrow("too many requests");
	const gauges = (text: string) =>
		Object.fromEntries(
			[...text.matchAll(/^dynamo_(?:work_handler|rejection)_([a-z_]+) (\d+)$/gm)].map(([, name, n]) => [
				name,
				n,
			]),
		);
	expect(gauges(await metrics.expose())).toMatchObject({
		pool_active_tasks: "1",
		pool_capacity: "1",
		queue_depth: "1",
		queue_capacity: "1",
		permit_wait_seconds_count: "0",
		request_total: "1",
	});
	finish();
	await running.next();
	await its;
	await waiting.next();
	await caller.close();
	await worker.close();
	await discovery.close();
	expect(gauges(await metrics.expose())).toMatchObject({
		pool_active_tasks: "0",
		queue_depth: "0",
		permit_wait_seconds_count: "1",
	});
});
