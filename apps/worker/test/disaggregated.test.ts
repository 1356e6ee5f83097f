// SPDX-License-Identifier: Apache-2.0
import { createFrontend, type Frontend } from "@dyn/frontend";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { createTrtllmWorker, type DisaggregationMode, type TrtllmWorker } from "@dyn/trtllm";
import { afterAll, beforeAll, expect, it } from "vitest";

/** Prefill and decode workers of one process behind a frontend; real engine, real model, KV blocks over TCP. */
const engineArgs = { threads: 1, max_batch_size: 4, kv_cache_config: { num_blocks: 64 } };
const prompt = "Once upon a time there was a princess who lived in a castle. ".repeat(8);
const soon = { timeout: 30_000, interval: 5 };
const metrics = createPrometheusMetrics();
let runtime: Runtime;
let frontend: Frontend;
const workers: TrtllmWorker[] = [];
beforeAll(async () => {
	runtime = await createRuntime();
	frontend = await createFrontend({ runtime, port: 0, migration: { firstTokenMs: 5000 } });
});
afterAll(async () => {
	await frontend.close();
	for (const worker of workers) await worker.close();
	await runtime.close();
});

async function start(disaggregationMode: DisaggregationMode): Promise<TrtllmWorker> {
	const worker = await createTrtllmWorker({ runtime, disaggregationMode, engineArgs, metrics });
	workers.push(worker);
	return worker;
}
async function complete(): Promise<{ status: number; text: string; cached: number }> {
	const response = await fetch(`${frontend.address}/v1/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ model: "smollm2-135m-instruct", prompt, max_tokens: 20, temperature: 0 }),
	});
	const body = (await response.json()) as {
		choices?: { text: string }[];
		usage?: { prompt_tokens_details?: { cached_tokens: number } };
	};
	return {
		status: response.status,
		text: body.choices?.[0]?.text ?? "",
		cached: body.usage?.prompt_tokens_details?.cached_tokens ?? 0,
	};
}
const metric = async (name: string) =>
	Number(new RegExp(`^${name}(?:{[^}]*})? (\\S+)$`, "m").exec(await metrics.expose())?.[1] ?? 0);

it("a prompt goes to a prefill worker and its answer comes from a decode worker, whoever fails", async () => {
	const agg = await start("agg");
	await expect.poll(async () => (await complete()).status, soon).toBe(200);
	const expected = (await complete()).text;
	expect(expected.length).toBeGreaterThan(10);
	await agg.close();
	await expect.poll(async () => (await complete()).status, soon).toBe(404);

	const first = await start("prefill");
	const decode = await start("decode");
	await expect.poll(async () => (await complete()).status, soon).toBe(200);
	expect((await complete()).text).toBe(expected);
	expect(await metric("trtllm_kv_transfer_success_total")).toBeGreaterThan(0);
	expect(first.engine.load()[0]).toMatchObject({ activeKvBlocks: 0 });

	await start("prefill");
	await first.engine.close(); // still in discovery, but takes nothing
	for (let i = 0; i < 4; i++) expect(await complete()).toMatchObject({ status: 200, text: expected });

	for (const worker of workers) if (worker !== decode) await worker.close();
	expect(await complete()).toMatchObject({ status: 200, text: expected }); // does the prefill itself
});

it("a client that leaves ends its request in the prefill worker, and in the decode worker", async () => {
	const [prefill, decode] = [
		await start("prefill"),
		workers.find(({ card }) => card.workerType === "decode")!,
	];
	const load = ({ engine }: TrtllmWorker) => {
		const { runningSequences, waitingSequences, activeKvBlocks } = engine.load()[0]!;
		return { running: runningSequences + waitingSequences, activeKvBlocks };
	};
	const idle = { running: 0, activeKvBlocks: 0 };
	for (const [where, words] of [
		[prefill, 300],
		[decode, 20],
	] as const) {
		const client = new AbortController();
		const long = Array.from({ length: words }, (_, i) => `${(i * 7919) % 1000}`)
			.join(" ")
			.slice(0, words * 4);
		const answer = fetch(`${frontend.address}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({
				model: "smollm2-135m-instruct",
				prompt: long,
				max_tokens: 400,
				ignore_eos: true,
				stream: true,
			}),
			signal: client.signal,
		}).then((response) => response.text());
		await expect.poll(() => load(where).running, soon).toBe(1);
		client.abort();
		await expect(answer).rejects.toThrow("aborted");
		await expect.poll(() => [load(prefill), load(decode)], soon).toEqual([idle, idle]);
	}
});
