// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime, type Instance, type KeyValueStore, type Runtime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { connectNats, createNatsEventPlane, createNatsRequestPlane, type NatsLink } from "@dyn/runtime/nats";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
// @boundaries-ignore started from here only, by scripts that .ci/run uses too; install: node scripts/peers/install-dynamo.mjs
import { DYNAMO_FOLDER, pythonOf } from "../../../../scripts/peers/dynamo-folder.mjs";
// @boundaries-ignore as above
import { startStockFrontend, startStockMocker } from "../../../../scripts/peers/stock-dynamo.mjs";
import { NatsServer, natsServerMissing } from "../nats-server.js";
import { writeWeightlessModel } from "../weightless-model.js";

const missing =
	natsServerMissing() ??
	(existsSync(pythonOf(DYNAMO_FOLDER)) ? null : "no stock Dynamo: node scripts/peers/install-dynamo.mjs");
if (missing) console.warn(`NATS tests with stock Dynamo skipped: ${missing}`);

describe.skipIf(missing)("stock Dynamo over NATS", () => {
	let work: string;
	let server: NatsServer;
	let mocker: Awaited<ReturnType<typeof startStockMocker>>;
	let frontend: Awaited<ReturnType<typeof startStockFrontend>>;
	let store: KeyValueStore;
	let nats: NatsLink;
	let runtime: Runtime;

	beforeAll(async () => {
		work = await mkdtemp(join(tmpdir(), "dyn-nats-stock-"));
		server = await NatsServer.start("--user", "dyn", "--pass", "secret");
		const folder = join(work, "store");
		const env = {
			HOME: work,
			DYN_REQUEST_PLANE: "nats",
			DYN_EVENT_PLANE: "nats",
			NATS_SERVER: server.url,
			NATS_AUTH_USERNAME: "dyn",
			NATS_AUTH_PASSWORD: "secret",
		};
		const modelDirectory = await writeWeightlessModel(join(work, "model"));
		frontend = await startStockFrontend({ store: folder, env });
		mocker = await startStockMocker({
			store: folder,
			env,
			modelDirectory,
			modelName: "stock",
			flags: ["--speedup-ratio", "1000000"],
		});
		store = createFileStore({ directory: folder });
		nats = await connectNats({ servers: [server.url], auth: { user: "dyn", password: "secret" } });
		runtime = await createRuntime({
			discovery: store,
			requestPlanes: [createNatsRequestPlane({ nats })],
			eventPlane: createNatsEventPlane({ nats }),
		});
	});

	afterAll(async () => {
		await runtime?.close();
		await nats?.close();
		await store?.close();
		await Promise.all([frontend?.kill(), mocker?.kill()]);
		await server?.kill();
		if (work) await rm(work, { recursive: true });
	});

	async function stockWorker(): Promise<{
		client: ReturnType<ReturnType<Runtime["endpoint"]>["client"]>;
		instance: Instance;
	}> {
		const client = runtime.endpoint("dynamo.backend.generate").client();
		return { client, instance: await client.choose() };
	}

	it("serves our requests, in both encodings", async () => {
		const { client, instance } = await stockWorker();
		expect(instance.transport).toEqual({
			kind: "nats_tcp",
			subject: `dynamo_backend.generate-${instance.id.toString(16)}`,
		});
		for (const requestCodec of ["msgpack", "json"] as const) {
			const items: { token_ids: unknown[]; finish_reason: unknown }[] = [];
			const stream = client.call({ ...instance, requestCodec }, request(4), createRequestContext());
			for await (const item of stream) items.push(item as (typeof items)[number]);
			expect(items.flatMap((item) => item.token_ids)).toHaveLength(4);
			expect(items.at(-1)!.finish_reason).toBe("length");
		}
	});

	it("stops when we leave", async () => {
		const { client, instance } = await stockWorker();
		const context = createRequestContext();
		for await (const _ of client.call(instance, request(4000), context)) break;
		const line = `request cancellation received request_id="${context.id}" cancellation.signal="kill"`;
		await vi.waitUntil(() => mocker.log().includes(line), { timeout: 30_000 });
	});

	it("publishes events that we read", async () => {
		const { client, instance } = await stockWorker();
		const subscription = await runtime.events.subscribe(instance.path, "kv-events");
		const stream = client.call(instance, request(4), createRequestContext());
		for await (const _ of stream);
		for await (const { payload, missed } of subscription) {
			expect(missed).toBe(0n);
			expect(payload).toMatchObject([{ worker_id: instance.id, event: { data: { stored: {} } } }]);
			break;
		}
	});

	it("sends its requests to our worker, and tells it when a client leaves", async () => {
		const [stock] = runtime.models.list();
		const received: GenerateRequest[] = [];
		let stopped!: () => void;
		const stop = new Promise<void>((resolve) => {
			stopped = resolve;
		});
		const served = await runtime.endpoint("dynamo.ours.generate").serve(
			async function* (asked, { signal }) {
				received.push(asked as GenerateRequest);
				yield output([72], null);
				if (received.length === 2) {
					await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
					stopped();
					return;
				}
				yield output([105], "stop");
			},
			{ codec: generateCodec },
		);
		await runtime.models.publish({ ...stock!.card, name: "ours" }, served.instance);
		await vi.waitUntil(
			async () => (await (await fetch(`${frontend.address}/v1/models`)).text()).includes('"ours"'),
			{ timeout: 30_000 },
		);
		const ask = (stream: boolean, signal?: AbortSignal) =>
			fetch(`${frontend.address}/v1/chat/completions`, {
				method: "POST",
				headers: { "content-type": "application/json" },
				body: JSON.stringify({ model: "ours", messages: [{ role: "user", content: "Hello" }], stream }),
				...(signal ? { signal } : {}),
			});
		const response = await ask(false);
		const text = await response.text();
		expect(response.status, `${text}\n${frontend.log().slice(-2000)}`).toBe(200);
		expect(JSON.parse(text).choices[0]).toMatchObject({
			message: { content: "Hi" },
			finish_reason: "stop",
		});
		expect(received[0]!.tokenIds).toHaveLength(10);

		const leave = new AbortController();
		const streamed = await ask(true, leave.signal);
		await streamed.body!.getReader().read();
		leave.abort();
		await stop;
	});
});

let prompts = 0;

/** What a stock worker needs of a request; each has a prompt of its own, so that none is in its cache. */
function request(maxTokens: number): unknown {
	const first = prompts++;
	return {
		model: "stock",
		token_ids: Array.from({ length: 100 }, (_, i) => (first + i) % 256),
		stop_conditions: { max_tokens: maxTokens, ignore_eos: true },
		sampling_options: {},
		output_options: {},
		eos_token_ids: [],
		mdc_sum: null,
		annotations: [],
		routing: {},
	};
}

function output(tokenIds: readonly number[], finishReason: EngineOutput["finishReason"]): EngineOutput {
	return { index: 0, tokenIds, logprobs: null, finishReason, stopTokenId: null, usage: null };
}
