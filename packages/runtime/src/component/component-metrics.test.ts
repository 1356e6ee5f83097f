// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { expect, it } from "vitest";
import { createRuntime } from "../create-runtime.js";
import { MemoryStore } from "../discovery/memory-store.js";
import { createPrometheusMetrics } from "../prometheus.js";
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
	await worker.endpoint("a.b.c").serve(async function* (fails) {
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
	const labels = '{dynamo_namespace="a",dynamo_component="b",dynamo_endpoint="c"}';
	const text = await metrics.expose();
	for (const line of [
		`dynamo_component_requests_total${labels} 2`,
		`dynamo_component_inflight_requests${labels} 0`,
		`dynamo_component_request_duration_seconds_sum${labels} 10`,
		"dynamo_component_time_to_first_response_seconds_sum 4",
		"dynamo_component_time_to_first_response_seconds_count 2",
		"dynamo_component_network_transit_seconds_sum 0",
		"dynamo_component_network_transit_seconds_count 2",
		`dynamo_component_errors_total${labels.replace("}", ',error_type="generate"}')} 1`,
	])
		expect(text.split("\n")).toContain(line);
	expect(text).not.toContain("dynamo_component_cancellation_total{");
	expect(calls).toEqual(new Array(2).fill("dynamo_request_plane_inflight_requests 1"));
	const called = (await callerMetrics.expose()).split("\n");
	expect(called).toContain("dynamo_request_plane_inflight_requests 0");
	expect(called).toContain("dynamo_request_plane_roundtrip_ttft_seconds_count 2");
	const sum = called.find((line) => line.startsWith("dynamo_request_plane_roundtrip_ttft_seconds_sum "))!;
	expect(Number(sum.split(" ")[1])).toBeGreaterThanOrEqual(4);
});
