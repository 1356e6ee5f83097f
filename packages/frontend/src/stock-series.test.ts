// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { createRequestContext } from "@dyn/common";
import { createRuntime, MemoryStore } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { expect, it } from "vitest";
import { ServedModel } from "./__fixtures__/served-model.js";

interface Series {
	readonly type: string;
	/** Without `le`, sorted. */
	readonly labels: readonly string[];
	/** Of a histogram, without +Inf. */
	readonly buckets?: readonly number[];
}

/** Series of stock Dynamo 1.6.1 that ours does not have, and why. */
const ABSENT: Readonly<Record<string, readonly (readonly [RegExp, string])[]>> = {
	"stock-1.6.1-frontend-series.json": [
		[/^dynamo_tokio_/, "of the Rust scheduler; dynamo_frontend_event_loop_* is what Node has"],
		[/_(images|videos|audio|image_tokens)_per_request$/, "requests with media are not taken"],
		[/^dynamo_frontend_tokenizer_cache_/, "the tokenizer has no prefix cache"],
		[/^dynamo_frontend_(template|tokenize)_seconds$/, "one step; tokenizer_latency_ms has both together"],
		[
			/^dynamo_request_plane_(queue|send)_seconds$/,
			"a plane says when an item came, not when a request went",
		],
		[/^dynamo_transport_tcp_/, "a plane does not say what it carries for a caller; workers count the bytes"],
		[/^dynamo_(component_)?router_|^dynamo_frontend_router_/, "there is no KV router"],
		[/^dynamo_component_(ckf_|kv_cache_event)/, "there is no KV router"],
		[/^dynamo_frontend_worker_active_/, "there is no KV router, which would know"],
	],
	"stock-1.6.1-worker-series.json": [
		[/^vllm:/, "of the mocked engine; ours has trtllm_* and dyn_engine_*"],
		[/^dynamo_(engine_request|request_queue)$/, "no limit in front of the engine but the request plane's"],
		[/^dynamo_work_handler_enqueue_rejected_total$/, "no channel that could be closed while requests come"],
		[/^dynamo_component_kv_publisher_/, "the publisher of KV events is fed by the engine itself"],
	],
};

/** Series of a Prometheus text. */
function seriesOf(text: string): Map<string, Series> {
	const found = new Map<string, { type: string; labels: Set<string>; buckets: Set<number> }>();
	for (const line of text.split("\n")) {
		const [, name, type] = /^# TYPE (\S+) (\S+)$/.exec(line) ?? [];
		if (name) found.set(name, { type: type!, labels: new Set(), buckets: new Set() });
		const [, sample, labels = ""] = /^([\w:]+)(?:\{(.*)\})? /.exec(line) ?? [];
		if (!sample) continue;
		const series = found.get(sample) ?? found.get(sample.replace(/_(bucket|sum|count)$/, ""))!;
		for (const [, label, value] of labels.matchAll(/(\w+)="([^"]*)"/g)) {
			if (label !== "le") series.labels.add(label!);
			else if (value !== "+Inf") series.buckets.add(Number(value));
		}
	}
	return new Map(
		[...found].map(([name, { type, labels, buckets }]) => [
			name,
			{ type, labels: [...labels].sort(), ...(buckets.size > 0 ? { buckets: [...buckets] } : {}) },
		]),
	);
}

/** What a frontend exposes that has answered, and a worker that has been called over TCP. */
async function exposed(): Promise<string> {
	const metrics = createPrometheusMetrics();
	const served = await ServedModel.create();
	await served.start({ metrics });
	for (const stream of [true, false]) await (await served.chat({ stream })).text();
	await served.frontend.drain();
	const discovery = new MemoryStore();
	const worker = await createRuntime({ discovery, requestPlanes: [createTcpPlane({ metrics })], metrics });
	const caller = await createRuntime({ discovery, requestPlanes: [createTcpPlane()], metrics });
	await worker.endpoint("a.b.c").serve(async function* () {
		yield 1;
	});
	const client = caller.endpoint("a.b.c").client();
	for await (const _ of client.generate(null, createRequestContext()));
	const text = await metrics.expose();
	await served.close();
	await caller.close();
	await worker.close();
	await discovery.close();
	return text;
}

it.each(Object.entries(ABSENT))("are those of %s, or it says why not", async (fixture, absent) => {
	const ours = seriesOf(await exposed());
	const stock = JSON.parse(
		readFileSync(new URL(`./__fixtures__/${fixture}`, import.meta.url), "utf8"),
	) as Record<string, Series>;
	const missing = new Map<string, string[]>();
	for (const [name, series] of Object.entries(stock)) {
		const reason = absent.find(([names]) => names.test(name))?.[1];
		const mine = ours.get(name);
		if (!reason) expect([name, mine]).toEqual([name, series]);
		else {
			expect([name, mine]).toEqual([name, undefined]);
			missing.set(reason, [...(missing.get(reason) ?? []), name]);
		}
	}
	// A reason that is none any more must go.
	expect(absent.filter(([names]) => !Object.keys(stock).some((name) => names.test(name)))).toEqual([]);
	for (const [reason, names] of missing)
		console.info(`${names.length} series absent: ${reason}: ${names.join(", ")}`);
});
