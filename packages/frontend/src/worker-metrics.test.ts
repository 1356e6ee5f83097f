// SPDX-License-Identifier: Apache-2.0
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, expect, it } from "vitest";
import { delta, end, ServedModel, signalled } from "./__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create();
});
afterEach(() => served.close());

it("say in which stage a request is, and what its instance took", async () => {
	const metrics = createPrometheusMetrics();
	await served.start({ metrics });
	const value = async (series: string) => {
		const line = (await metrics.expose()).split("\n").find((each) => each.startsWith(`${series} `));
		return line && Number(line.slice(series.length + 1));
	};
	const inDispatch = () => value('dynamo_frontend_stage_requests{stage="dispatch",phase="aggregated"}');
	const [began, proceed] = [signalled(), signalled()];
	served.answer = async function* () {
		began.reach();
		await proceed.reached;
		yield delta("a");
		yield delta("bc");
		yield end();
	};
	const answer = served.chat();
	await began.reached;
	expect(await inDispatch()).toBe(1);
	expect(await value('dynamo_frontend_active_requests{model="m"}')).toBe(1);
	const worker = [...served.runtime.models.list()][0]!.id;
	const last = (what: string) =>
		value(`dynamo_frontend_worker_last_${what}{worker_id="${worker}",dp_rank="0",worker_type="decode"}`);
	expect(await last("time_to_first_token_seconds")).toBe(undefined);
	proceed.reach();
	await (await answer).text();
	await served.frontend.drain();
	expect(await inDispatch()).toBe(0);
	for (const stage of ["preprocess", "route", "transport_roundtrip"])
		expect(await value(`dynamo_frontend_stage_duration_seconds_count{stage="${stage}"}`)).toBe(1);
	expect(await last("input_sequence_tokens")).toBe(served.seen[0]!.tokenIds.length);
	expect(await last("time_to_first_token_seconds")).toBeGreaterThan(0);
	expect(await last("inter_token_latency_seconds")).toBeGreaterThan(0);
	expect(await value("dynamo_frontend_detokenize_token_count")).toBe(3);
	expect(await value('dynamo_frontend_tokenizer_latency_ms_count{operation="detokenize"}')).toBe(1);
	expect(await value('dynamo_frontend_active_requests{model="m"}')).toBe(0);
});

it("forget a worker that left", async () => {
	const metrics = createPrometheusMetrics();
	const other = await served.addInstance();
	await served.start({ metrics });
	const workers = async () =>
		[...(await metrics.expose()).matchAll(/^dynamo_frontend_worker_last_input[^{]*{worker_id="(\d+)"/gm)].map(
			([, id]) => id,
		);
	for (let i = 0; i < 2; i++) await (await served.chat()).text();
	expect(await workers()).toHaveLength(2);
	await other.withdraw();
	await other.close();
	await expect.poll(workers).toHaveLength(1);
	expect(await workers()).not.toContain(other.id.toString());
});

it("say which models can be served, and which could", async () => {
	const metrics = createPrometheusMetrics();
	const withdraw = await served.publish({ name: "n" });
	await served.start({ metrics });
	const ready = async () =>
		[...(await metrics.expose()).matchAll(/^dynamo_frontend_model_ready\{model="(.)"\} (.)$/gm)].map(
			([, model, value]) => `${model}${value}`,
		);
	expect((await ready()).sort()).toEqual(["m1", "n1"]);
	await withdraw();
	const listed = async () =>
		((await (await fetch(`${served.address}/v1/models`)).json()) as { data: unknown[] }).data.length;
	while ((await listed()) > 1) await new Promise(setImmediate);
	expect((await ready()).sort()).toEqual(["m1", "n0"]);
});
