// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext, type Metrics, noMetrics } from "@dyn/common";
import { createMockerEngine } from "@dyn/mocker";
import { createHttpDouble } from "@dyn/mocker/http";
import { createKvEventPublisherDouble } from "@dyn/mocker/kv-events";
import { createTrtllmDouble, type TrtllmDoubleOptions } from "@dyn/mocker/openengine";
import type { ModelStore } from "@dyn/models/store";
import { createGenerateRequest, type KvEvent } from "@dyn/protocols";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { createBlockHasher } from "@dyn/tokens";
import { createTrtllmWorker } from "@dyn/trtllm";
import { expect, it } from "vitest";

type Sources = NonNullable<TrtllmDoubleOptions["kvEventSources"]>;
const prompt = Array.from({ length: 70 }, (_, i) => 100 + i);

/** `tcp://host:port` as OpenEngine says it. */
function addressOf(endpoint: string): { host: string; port: number } {
	const { hostname, port } = new URL(endpoint);
	return { host: hostname, port: Number(port) };
}

it("hears over ZeroMQ what each rank of an engine has cached, where the engine says that it publishes", async () => {
	const engine = createMockerEngine({ speedupRatio: 0, remembersTokens: true, dpSize: 2, maxModelLen: 1024 });
	const sources: Sources[number][] = [];
	await using double = await createTrtllmDouble({ engine, kvEventSources: sources });
	const publishers = await createKvEventPublisherDouble({ engine, dpSize: 2 });
	for (const [dataParallelRank, { endpoint, replayEndpoint }] of publishers.ranks.entries())
		sources.push({
			transport: "zmq",
			encoding: "msgpack",
			endpointAddr: addressOf(endpoint),
			replayEndpoint,
			dataParallelRank,
		});
	await using worker = await createTrtllmWorker({
		engine: "trtllm",
		trtllm: { grpcEndpoint: double.address, serve: { maxSeqLen: 1024 } },
	});
	expect(worker.info.capabilities.kvEvents).toBe(true);
	const heard: KvEvent[] = [];
	const listening = (async () => {
		for await (const event of worker.engine.kvEvents()) heard.push(event);
	})();
	const hasher = await createBlockHasher();
	const tokensHash = hasher.blockHash(Uint32Array.from(prompt.slice(0, 32)));
	const stored = (dpRank: number) =>
		heard.flatMap(({ dpRank: rank, data }) =>
			rank === dpRank && data.type === "stored" ? data.blocks.map((block) => block.tokensHash) : [],
		);
	for (const dpRank of [0, 1]) {
		const request = createGenerateRequest({ tokenIds: prompt, stop: { maxTokens: 1 }, routing: { dpRank } });
		for await (const _ of engine.generate(request, createRequestContext()));
	}
	// What was published before the subscription was made is asked for again.
	await expect
		.poll(() => [stored(0), stored(1)], { timeout: 20_000 })
		.toEqual([expect.arrayContaining([tokensHash]), expect.arrayContaining([tokensHash])]);
	await worker.close();
	await listening;
	await publishers.close();
});

it("asks for them over HTTP when they shall be published, and not otherwise", async () => {
	const double = await createHttpDouble({
		engine: { speedupRatio: 0, maxModelLen: 1024, vocabSize: 32_000 },
	});
	const folder = mkdtempSync(join(tmpdir(), "kv-events-"));
	writeFileSync(join(folder, "config.json"), JSON.stringify({ vocab_size: 32_000, eos_token_id: 2 }));
	const start = (publishKvEvents: boolean, metrics: Metrics) =>
		createTrtllmWorker({
			engine: "trtllm",
			modelStore: { resolve: async () => ({ id: "m", path: folder }) } as unknown as ModelStore,
			trtllm: { grpcEndpoint: new URL(double.url).host, serve: { protocol: "http", maxSeqLen: 1024 } },
			publishKvEvents,
			metrics,
		});
	const silent = await start(false, noMetrics);
	expect(silent.info.capabilities.kvEvents).toBe(false);
	await silent.close();

	const metrics = createPrometheusMetrics();
	const worker = await start(true, metrics);
	expect(worker.info.capabilities.kvEvents).toBe(true);
	const request = createGenerateRequest({ tokenIds: prompt, stop: { maxTokens: 2 } });
	for await (const _ of worker.generate(request, createRequestContext()));
	const drained = async () =>
		Number(/^trtllm_kv_event_drain_batch_size_sum(?:{.*})? (\S+)$/m.exec(await metrics.expose())?.[1] ?? 0);
	await expect.poll(drained, { timeout: 20_000 }).toBeGreaterThan(0);
	await worker.close();
	await double.close();
	rmSync(folder, { recursive: true });
});

it("has none of an engine that does not say", async () => {
	await using double = await createTrtllmDouble({ engine: createMockerEngine({ maxModelLen: 1024 }) });
	await using worker = await createTrtllmWorker({
		engine: "trtllm",
		trtllm: { grpcEndpoint: double.address, serve: { maxSeqLen: 1024 } },
	});
	expect(worker.info.capabilities.kvEvents).toBe(false);
});
