// SPDX-License-Identifier: Apache-2.0
// Adapters that come and go over HTTP, with real processes and the real model.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { float32Tensor, writeSafetensors } from "@dyn/models/testing";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DynProcess } from "./dyn-process.js";
import { eventually, MODEL, ServerProcess } from "./server-process.js";

const root = mkdtempSync(join(tmpdir(), "dyn-loras-"));
const folder = join(root, "adapter");
const started: DynProcess[] = [];

/** Adds to the queries of a layer of SmolLM2-135M, which is 576 wide. */
beforeAll(async () => {
	mkdirSync(folder);
	writeFileSync(join(folder, "adapter_config.json"), '{"peft_type":"LORA","r":2,"lora_alpha":4}');
	const values = Array.from({ length: 1152 }, (_, i) => 0.3 * Math.sin(1.7 * i));
	const prefix = "base_model.model.model.layers.3.self_attn.q_proj";
	await writeSafetensors(join(folder, "adapter_model.safetensors"), [
		float32Tensor(`${prefix}.lora_A.weight`, [2, 576], values),
		float32Tensor(`${prefix}.lora_B.weight`, [576, 2], values),
	]);
});
afterAll(async () => {
	for (const each of started) await each[Symbol.asyncDispose]();
	rmSync(root, { recursive: true });
});

const models = async (address: string): Promise<string[]> => {
	const { data } = (await (await fetch(`${address}/v1/models`)).json()) as { data: { id: string }[] };
	return data.map(({ id }) => id).sort();
};
const load = (address: string, name: string, headers: Record<string, string> = {}) =>
	fetch(`${address}/v1/loras`, {
		method: "POST",
		headers: { "content-type": "application/json", ...headers },
		body: JSON.stringify({ lora_name: name, source: { uri: `file://${folder}` } }),
	});

it("of a worker are models at every frontend while they are loaded", async () => {
	const shared = ["--discovery-backend", "file", "--file-kv", join(root, "kv")];
	const start = async (...args: string[]) => {
		const each = await DynProcess.start([...args, ...shared]);
		started.push(each);
		return each.address;
	};
	const worker = await start("worker", "--system-port", "0", "--enable-lora");
	await start("worker", "--served-model-name", MODEL); // never hears of an adapter
	const frontends = await Promise.all([0, 1].map(() => start("frontend", "--http-port", "0")));
	const everywhere = (wanted: readonly string[]) =>
		eventually(`models are ${wanted}`, async () =>
			(await Promise.all(frontends.map(models))).every((ids) => ids.join() === wanted.join()),
		);
	await everywhere([MODEL]);
	expect(await (await load(worker, "polite")).json()).toMatchObject({ status: "success", lora_id: 1 });
	await everywhere(["polite", MODEL]);
	const answers = [...frontends, ...frontends, ...frontends].map(async (address) => {
		const response = await fetch(`${address}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ model: "polite", prompt: "Once", max_tokens: 5, temperature: 0 }),
		});
		return (await response.json()) as { model: string; usage: { completion_tokens: number } };
	});
	for (const answer of await Promise.all(answers))
		expect(answer).toMatchObject({ model: "polite", usage: { completion_tokens: 5 } });
	expect((await fetch(`${worker}/v1/loras/polite`, { method: "DELETE" })).status).toBe(200);
	await everywhere([MODEL]);
});

it("need the key of the clients, and are not on their port", async () => {
	const options = ["--system-port", "0", "--enable-lora", "--api-key", "secret"];
	await using server = await ServerProcess.start(options);
	await eventually("it tells its status port", async () => /status +http/.test(server.output));
	const status = /status +(http:\/\/[\w.:]+)\/health/.exec(server.output)![1]!;
	const key = { authorization: "Bearer secret" };
	expect((await load(status, "polite")).status).toBe(401);
	expect((await load(server.address, "polite", key)).status).toBe(404);
	expect((await load(status, "polite", key)).status).toBe(200);
	await eventually("the model is served", async () =>
		(await (await fetch(`${server.address}/v1/models`, { headers: key })).text()).includes('"polite"'),
	);
});
