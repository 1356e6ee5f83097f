// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "@dyn/common";
import { float32Tensor, writeSafetensors } from "@dyn/models/testing";
import { createGenerateRequest } from "@dyn/protocols";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createTrtllmWorker, type TrtllmWorker } from "@dyn/trtllm";
import { afterAll, beforeAll, expect, it, vi } from "vitest";

/** A worker with the real model and two made-up adapters. */
const root = mkdtempSync(join(tmpdir(), "dyn-adapters-"));
let runtime: Runtime;
let worker: TrtllmWorker;

/** Adds to the queries of two layers of SmolLM2-135M (576 wide); `size` 0 adds nothing. */
async function saveAdapter(name: string, size: number): Promise<string> {
	const folder = join(root, name);
	mkdirSync(folder);
	writeFileSync(
		join(folder, "adapter_config.json"),
		JSON.stringify({ peft_type: "LORA", r: 2, lora_alpha: 4 }),
	);
	const tensors = [3, 20].flatMap((layer) => {
		const prefix = `base_model.model.model.layers.${layer}.self_attn.q_proj`;
		const values = (offset: number) =>
			Array.from({ length: 1152 }, (_, i) => size * Math.sin(i * 1.7 + offset));
		return [
			float32Tensor(`${prefix}.lora_A.weight`, [2, 576], values(layer)),
			float32Tensor(`${prefix}.lora_B.weight`, [576, 2], values(layer + 1)),
		];
	});
	await writeSafetensors(join(folder, "adapter_model.safetensors"), tensors);
	return folder;
}

beforeAll(async () => {
	runtime = await createRuntime();
	const loras = { strong: await saveAdapter("strong", 0.3), empty: await saveAdapter("empty", 0) };
	worker = await createTrtllmWorker({ runtime, loras, engineArgs: { max_batch_size: 4 } });
});
afterAll(async () => {
	await worker?.close();
	await runtime.close();
	rmSync(root, { recursive: true });
});

async function tokens(lora: string | null): Promise<number[]> {
	const tokenIds = Array.from({ length: 40 }, (_, k) => 1000 + ((k * 7919) % 40_000));
	const request = createGenerateRequest({
		tokenIds,
		lora,
		sampling: { temperature: 0 },
		stop: { maxTokens: 16 },
	});
	const all: number[] = [];
	for await (const output of worker.generate(request, createRequestContext())) all.push(...output.tokenIds);
	return all;
}

it("each adapter has a card of its own, which goes with the worker", async () => {
	const cards = () =>
		runtime.models.list().map(({ card }) => [card.name, card.lora, card.endpointTypes.length]);
	expect(cards()).toEqual([
		["smollm2-135m-instruct", undefined, 3],
		["strong", "strong", 2],
		["empty", "empty", 2],
	]);
});

it("the real model answers with each, side by side, and one that adds nothing changes nothing", async () => {
	const [plain, strong, empty] = await Promise.all([tokens(null), tokens("strong"), tokens("empty")]);
	expect(empty).toEqual(plain);
	expect(strong).not.toEqual(plain);
	expect(await tokens("strong")).toEqual(strong);
	await expect(tokens("nobody")).rejects.toMatchObject({ code: "NOT_FOUND" });
});

it("one comes and goes while the worker serves; what runs with it ends first", async () => {
	const names = () => runtime.models.list().map(({ card }) => card.name);
	const strong = await tokens("strong");
	const { adapter, known } = await worker.adapters.load("late", join(root, "strong"));
	expect([adapter.name, known]).toEqual(["late", false]);
	expect(names()).toContain("late");
	const request = createGenerateRequest({
		tokenIds: [1, 2, 3],
		lora: "late",
		stop: { maxTokens: 30, ignoreEos: true },
	});
	const answer = worker.generate(request, createRequestContext())[Symbol.asyncIterator]();
	await answer.next();
	const unloaded = worker.adapters.unload("late");
	await vi.waitFor(() => expect(names()).not.toContain("late"));
	await expect(tokens("late")).rejects.toMatchObject({ code: "NOT_FOUND" });
	await expect(worker.adapters.unload("late")).rejects.toMatchObject({ code: "OVERLOADED" });
	let count = 1;
	for (let next = await answer.next(); !next.done; next = await answer.next())
		count += next.value.tokenIds.length;
	expect(count).toBe(30);
	await unloaded;
	// The name is free: nothing of what it meant is left, in the cache neither.
	await worker.adapters.load("late", join(root, "empty"));
	expect(await tokens("late")).toEqual(await tokens(null));
	expect(await tokens("strong")).toEqual(strong);
	await worker.adapters.unload("late");
	await expect(worker.adapters.load("smollm2-135m-instruct", root)).rejects.toThrow(
		"is the name of the model",
	);
	await expect(worker.adapters.load("late", join(root, "nowhere"))).rejects.toMatchObject({
		code: "NOT_FOUND",
	});
	expect(names()).toEqual(["smollm2-135m-instruct", "strong", "empty"]);
});

it("an adapter that cannot be served ends the start", async () => {
	for (const [loras, code] of [
		[{ gone: join(root, "nowhere") }, "NOT_FOUND"],
		[{ "smollm2-135m-instruct": join(root, "strong") }, "INVALID_ARGUMENT"],
	] as const)
		await expect(createTrtllmWorker({ runtime, loras })).rejects.toMatchObject({ code });
});
