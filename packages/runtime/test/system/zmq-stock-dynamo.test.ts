// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime, type KeyValueStore, type Runtime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { createZmqBroker, createZmqEventPlane } from "@dyn/runtime/zmq";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
// @boundaries-ignore started from here only, by scripts that .ci/run uses too; install: node scripts/peers/install-dynamo.mjs
import { DYNAMO_FOLDER, pythonOf } from "../../../../scripts/peers/dynamo-folder.mjs";
// @boundaries-ignore as above
import { startStockFrontend, startStockMocker } from "../../../../scripts/peers/stock-dynamo.mjs";
import { writeWeightlessModel } from "../weightless-model.js";

const missing = existsSync(pythonOf(DYNAMO_FOLDER))
	? null
	: "no stock Dynamo: node scripts/peers/install-dynamo.mjs";
if (missing) console.warn(`ZeroMQ tests with stock Dynamo skipped: ${missing}`);

describe.skipIf(missing)("stock Dynamo over ZeroMQ", () => {
	let work: string;
	let mocker: Awaited<ReturnType<typeof startStockMocker>>;
	let frontend: Awaited<ReturnType<typeof startStockFrontend>>;
	let store: KeyValueStore;
	let runtime: Runtime;

	beforeAll(async () => {
		work = await mkdtemp(join(tmpdir(), "dyn-zmq-stock-"));
		const folder = join(work, "store");
		const env = { HOME: work };
		const modelDirectory = await writeWeightlessModel(join(work, "model"), {
			bos_token: "<|start|>",
			eos_token: "<|end|>",
			chat_template: "{{ messages[0].content }}",
		});
		frontend = await startStockFrontend({ store: folder, env, flags: ["--router-mode", "kv"] });
		mocker = await startStockMocker({
			store: folder,
			env,
			modelDirectory,
			modelName: "stock",
			flags: ["--speedup-ratio", "1000000"],
		});
		store = createFileStore({ directory: folder });
		runtime = await createRuntime({
			discovery: store,
			requestPlanes: [createTcpPlane()],
			eventPlane: createZmqEventPlane(),
		});
	});

	afterAll(async () => {
		await runtime?.close();
		await store?.close();
		await Promise.all([frontend?.kill(), mocker?.kill()]);
		if (work) await rm(work, { recursive: true });
	});

	it("publishes events that we read, each once and in order", async () => {
		const client = runtime.endpoint("dynamo.backend.generate").client();
		const instance = await client.choose();
		const subscription = await runtime.events.subscribe(instance.path, "kv-events");
		const requests = 20;
		for (let i = 0; i < requests; i++)
			for await (const _ of client.call(instance, request(i), createRequestContext()));
		const sequences: bigint[] = [];
		for await (const { sequence, missed, payload } of subscription) {
			expect(missed).toBe(0n);
			expect(payload).toMatchObject([{ worker_id: instance.id, event: { data: { stored: {} } } }]);
			sequences.push(sequence);
			if (sequences.length === requests) break;
		}
		expect(sequences).toEqual(sequences.map((_, i) => sequences[0]! + BigInt(i)));
	});

	it("reads events that we publish", async () => {
		const path = { namespace: "dynamo", component: "ours", endpoint: "generate" };
		const served = await runtime.endpoint(path).serve(async function* () {}, { codec: generateCodec });
		const [stock] = runtime.models.list();
		await runtime.models.publish({ ...stock!.card, name: "ours" }, served.instance);
		const publisher = await runtime.events.publish(path, "kv-events", { replay: 10 });
		await announceSource(served.instance.id, publisher.id);
		const before = await batchesRead();
		let sent = 0;
		await vi.waitUntil(
			async () => {
				publisher.send([stored(served.instance.id, ++sent)]);
				return (await batchesRead()) >= before + 3;
			},
			{ timeout: 30_000, interval: 100 },
		);
		expect(await batchesRead()).toBeLessThanOrEqual(before + sent);
	});

	it("sends its events through our brokers", async () => {
		const anywhere = { xsubBind: "tcp://127.0.0.1:*", xpubBind: "tcp://127.0.0.1:*" };
		const brokers = [await createZmqBroker(anywhere), await createZmqBroker(anywhere)];
		const xsub = brokers.map((broker) => broker.xsub);
		const xpub = brokers.map((broker) => broker.xpub);
		const folder = join(work, "store-of-brokers");
		const worker = await startStockMocker({
			store: folder,
			env: { HOME: work, DYN_ZMQ_BROKER_URL: `xsub=${xsub.join(";")} , xpub=${xpub.join(";")}` },
			modelDirectory: join(work, "model"),
			modelName: "stock",
			flags: ["--speedup-ratio", "1000000"],
		});
		const discovery = createFileStore({ directory: folder });
		const brokered = await createRuntime({
			discovery,
			requestPlanes: [createTcpPlane()],
			eventPlane: createZmqEventPlane({ broker: { xsub, xpub } }),
		});
		try {
			const client = brokered.endpoint("dynamo.backend.generate").client();
			const instance = await client.choose();
			const subscription = await brokered.events.subscribe(instance.path, "kv-events");
			for (let i = 0; i < 5; i++)
				for await (const _ of client.call(instance, request(i), createRequestContext()));
			let read = 0;
			for await (const { sequence, missed, payload } of subscription) {
				expect({ sequence, missed }).toEqual({ sequence: BigInt(read), missed: 0n });
				expect(payload).toMatchObject([{ worker_id: instance.id, event: { data: { stored: {} } } }]);
				if (++read === 5) break;
			}
		} finally {
			await brokered.close();
			await discovery.close();
			await Promise.all([worker.kill(), ...brokers.map((broker) => broker.close())]);
		}
	});

	/** Batches of KV events that the stock frontend has read from ZeroMQ, from all workers. */
	async function batchesRead(): Promise<number> {
		const text = await (await fetch(`${frontend.address}/metrics`)).text();
		return Number(/^dynamo_component_router_kv_zmq_ingress_batches_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0);
	}

	/** Stock reads KV events of a worker that it could ask for its whole cache, and knows that from this record. */
	async function announceSource(workerId: bigint, publisherId: bigint): Promise<void> {
		const at = { namespace: "dynamo", component: "ours" };
		const recovery = { ...at, endpoint: `worker_kv_query_source_${publisherId.toString(16)}` };
		const { instance } = await runtime.endpoint(recovery).serve(async function* () {});
		const { transport } = instance;
		if (transport.kind !== "tcp") throw new Error(`served over ${transport.kind}`);
		const record = {
			type: "EventSource",
			scope: { kind: "endpoint", endpoint: { ...at, name: "generate" } },
			topic: "kv-events",
			publisher_id: Number(publisherId),
			metadata: {
				kv_state_endpoint: { ...at, name: "generate" },
				worker: { worker_id: Number(workerId), dp_rank: 0 },
				publisher_id: Number(publisherId),
				recovery_target: {
					...recovery,
					instance_id: Number(instance.id),
					transport: { tcp: transport.address },
					request_plane_codec: "msgpack",
				},
			},
		};
		const key = `namespace/dynamo/component/ours/endpoint/generate/topic/kv-events/${publisherId.toString(16)}`;
		await store.put(`v1/event_sources/${key}`, JSON.stringify(record), await store.lease());
	}
});

function stored(workerId: bigint, eventId: number): unknown {
	const hash = 2n ** 63n + BigInt(eventId);
	const blocks = [{ block_hash: hash, tokens_hash: hash, mm_extra_info: null }];
	return {
		worker_id: workerId,
		storage_tier: "device",
		residency_domain: "worker",
		event: {
			event_id: eventId,
			data: { stored: { parent_hash: null, start_position: 0, blocks } },
			dp_rank: 0,
		},
	};
}

/** What a stock worker needs of a request. */
function request(seed: number): unknown {
	return {
		model: "stock",
		token_ids: Array.from({ length: 64 }, (_, i) => (i * 7 + seed) % 200),
		stop_conditions: { max_tokens: 1, ignore_eos: true },
		sampling_options: {},
		output_options: {},
		eos_token_ids: [],
		mdc_sum: null,
		annotations: [],
		routing: {},
	};
}
