// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import {
	createGenerateRequest,
	type Disaggregation,
	type EngineOutput,
	type KvSession,
} from "@dyn/protocols";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { createTrtllmWorker, type DisaggregationMode, type TrtllmWorker } from "@dyn/trtllm";
import { afterAll, beforeAll, expect, it } from "vitest";

/** Workers of several data-parallel ranks with the real model. */
const metrics = createPrometheusMetrics();
const tokenIds = Array.from({ length: 100 }, (_, k) => 1000 + ((k * 7919) % 40_000));
let runtime: Runtime;
const workers: TrtllmWorker[] = [];
beforeAll(async () => {
	runtime = await createRuntime();
});
afterAll(async () => {
	for (const worker of workers) await worker.close();
	await runtime.close();
});

async function start(attention_dp_size: number, disaggregationMode: DisaggregationMode = "agg") {
	const engineArgs = { attention_dp_size, max_batch_size: 4, kv_cache_config: { num_blocks: 64 } };
	const worker = await createTrtllmWorker({
		runtime,
		disaggregationMode,
		engineArgs,
		metrics,
		publishMetrics: true,
		component: `ranks-${workers.length}`,
	});
	workers.push(worker);
	return worker;
}

async function ask(
	worker: TrtllmWorker,
	dpRank: number | null,
	disaggregation: Disaggregation | null = null,
) {
	const request = createGenerateRequest({
		tokenIds,
		sampling: { temperature: 0 },
		stop: { maxTokens: 24, ignoreEos: true },
		routing: { dpRank },
		disaggregation,
	});
	const outputs: EngineOutput[] = [];
	for await (const output of worker.generate(request, createRequestContext())) outputs.push(output);
	return { tokens: outputs.flatMap((output) => output.tokenIds), last: outputs.at(-1)! };
}

it("each rank answers as a worker of one does, from its own cache, and shows its own load", async () => {
	const alone = (await ask(await start(1), null)).tokens;
	expect(alone).toHaveLength(24);
	const worker = await start(3);
	expect(worker.card).toMatchObject({ dpSize: 3, totalKvBlocks: 64 });
	const both = await Promise.all([ask(worker, 0), ask(worker, 2)]);
	for (const { tokens, last } of both) {
		expect(tokens).toEqual(alone);
		expect(last.usage!.cachedTokens).toBe(0);
	}
	expect((await ask(worker, 2)).last.usage!.cachedTokens).toBe(96);
	expect(worker.engine.load().map(({ cachedKvBlocks }) => cachedKvBlocks > 0)).toEqual([true, false, true]);
	await expect(ask(worker, 3)).rejects.toMatchObject({
		code: "INVALID_ARGUMENT",
		details: { param: "dp_rank" },
	});
	const series = await metrics.expose();
	for (const rank of [0, 1, 2])
		expect(series).toMatch(new RegExp(`dynamo_component_total_blocks{[^}]*dp_rank="${rank}"[^}]*} 64`));
});

it("prefill at one rank, decode at another one of another worker: the answer is the same", async () => {
	const alone = (await ask(workers[0]!, null)).tokens;
	const [prefill, decode] = [await start(2, "prefill"), await start(2, "decode")];
	const { last } = await ask(prefill, 1, { role: "prefill" });
	const session = last.kvSession as KvSession;
	expect(session.dpRank).toBe(1);
	const { tokens, last: end } = await ask(decode, 0, { role: "decode", session });
	expect(tokens).toEqual(alone);
	expect(end.usage!.completionTokens).toBe(24);
	expect(decode.engine.load().map(({ cachedKvBlocks }) => cachedKvBlocks > 0)).toEqual([true, false]);
});
