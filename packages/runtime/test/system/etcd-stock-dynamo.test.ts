// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import type { EngineOutput } from "@dyn/protocols";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime, type KeyValueStore, type Runtime } from "@dyn/runtime";
import { createEtcdStore } from "@dyn/runtime/etcd";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
// @boundaries-ignore started from here only, by scripts that .ci/run uses too; install: node scripts/peers/install-dynamo.mjs
import { DYNAMO_FOLDER, pythonOf } from "../../../../scripts/peers/dynamo-folder.mjs";
// @boundaries-ignore as above
import { startStockFrontend, startStockMocker } from "../../../../scripts/peers/stock-dynamo.mjs";
import { EtcdServer, etcdMissing } from "../etcd-server.js";
import { writeWeightlessModel } from "../weightless-model.js";

const missing =
	etcdMissing() ??
	(existsSync(pythonOf(DYNAMO_FOLDER)) ? null : "no stock Dynamo: node scripts/peers/install-dynamo.mjs");
if (missing) console.warn(`etcd tests with stock Dynamo skipped: ${missing}`);

const WAIT = { timeout: 30_000, interval: 100 };

describe.skipIf(missing)("stock Dynamo in one etcd with us", () => {
	let work: string;
	let server: EtcdServer;
	let mocker: Awaited<ReturnType<typeof startStockMocker>>;
	let frontend: Awaited<ReturnType<typeof startStockFrontend>>;
	let store: KeyValueStore;
	let runtime: Runtime;

	beforeAll(async () => {
		work = await mkdtemp(join(tmpdir(), "dyn-etcd-stock-"));
		server = await EtcdServer.start();
		const env = { HOME: work };
		await writeWeightlessModel(work);
		frontend = await startStockFrontend({ etcd: server.endpoint, env });
		mocker = await startStockMocker({
			etcd: server.endpoint,
			env,
			modelDirectory: work,
			modelName: "stock",
			flags: ["--speedup-ratio", "1000000"],
		});
		store = await createEtcdStore({ endpoints: [server.endpoint] });
		runtime = await createRuntime({ discovery: store, requestPlanes: [createTcpPlane()] });
	});

	afterAll(async () => {
		await runtime?.close();
		await store?.close();
		await Promise.all([frontend?.kill(), mocker?.kill()]);
		await server?.dispose();
		if (work) await rm(work, { recursive: true });
	});

	const listed = async () => (await fetch(`${frontend.address}/v1/models`)).text();

	const complete = async () => {
		const response = await fetch(`${frontend.address}/v1/chat/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ model: "ours", messages: [{ role: "user", content: "Hello" }] }),
		});
		return response.text();
	};

	test("we find its worker", async () => {
		const client = runtime.endpoint("dynamo.backend.generate").client();
		const instance = await client.choose();
		const items: { token_ids: unknown[] }[] = [];
		for await (const item of client.call(instance, request(4), createRequestContext()))
			items.push(item as (typeof items)[number]);
		expect(items.flatMap((item) => item.token_ids)).toHaveLength(4);
		expect(runtime.models.list().map(({ card }) => card.name)).toEqual(["stock"]);
	});

	test("its frontend finds our worker, and again when etcd was dead and has forgotten everything", async () => {
		const served = await runtime.endpoint("dynamo.ours.generate").serve(
			async function* () {
				yield output([72], null);
				yield output([105], "stop");
			},
			{ codec: generateCodec },
		);
		const [stock] = runtime.models.list();
		const published = await runtime.models.publish({ ...stock!.card, name: "ours" }, served.instance);
		await vi.waitUntil(async () => (await listed()).includes('"ours"'), WAIT);
		expect(JSON.parse(await complete()).choices[0].message.content).toBe("Hi");

		await server.kill();
		await new Promise((resolve) => setTimeout(resolve, 12_000)); // longer than a lease of 10 s
		await server.forget();
		await server.start();
		await vi.waitUntil(async () => (await complete()).includes('"Hi"'), WAIT);

		await published.withdraw();
		await vi.waitUntil(async () => !(await listed()).includes('"ours"'), WAIT);
		await served.close();
	});

	test("we see its worker leave", async () => {
		await mocker.kill();
		await vi.waitUntil(() => runtime.models.list().length === 0, WAIT);
	});
});

/** What a stock worker needs of a request. */
function request(maxTokens: number): unknown {
	return {
		model: "stock",
		token_ids: Array.from({ length: 100 }, (_, i) => i),
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
