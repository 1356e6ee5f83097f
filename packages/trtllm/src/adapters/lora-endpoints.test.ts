// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { createRuntime } from "@dyn/runtime";
import { expect, it } from "vitest";
import { serveLoraEndpoints } from "./lora-endpoints.js";

it("peers list, load and unload a worker's adapters, and are told what is wrong", async () => {
	const runtime = await createRuntime();
	const loaded = new Map<string, string>();
	const adapters = {
		list: () => [...loaded].map(([name, path], i) => ({ name, path, id: i + 1 })),
		async load(name: string, path: string) {
			loaded.set(name, path);
			return { adapter: { name, path, id: loaded.size }, known: false };
		},
		async unload(name: string) {
			if (!loaded.delete(name)) throw new DynError("NOT_FOUND", `no adapter named ${name}`);
			return { name, path: "", id: 1 };
		},
	};
	const served = await runtime.endpoint("n.backend.generate").serve(async function* () {});
	const endpoints = await serveLoraEndpoints({ adapters, runtime, served });
	const ask = async (endpoint: string, request: unknown) => {
		const answers: unknown[] = [];
		const client = runtime.endpoint(`n.backend.${endpoint}`).client();
		for await (const answer of client.generate(request, createRequestContext())) answers.push(answer);
		return answers;
	};
	expect(await ask("load_lora", { lora_name: "a", source: { uri: "file:///one" } })).toEqual([
		{ status: "success", message: "LoRA adapter a was loaded", lora_name: "a", lora_id: 1 },
	]);
	expect(loaded).toEqual(new Map([["a", "/one"]]));
	expect(await ask("list_loras", {})).toEqual([{ status: "success", loras: { a: 1 }, count: 1 }]);
	expect(await ask("unload_lora", { lora_name: "b" })).toEqual([
		{ status: "error", message: "no adapter named b" },
	]);
	expect(await ask("unload_lora", null)).toEqual([
		{ status: "error", message: expect.stringContaining("lora_name must be") },
	]);
	expect(await ask("unload_lora", { lora_name: "a" })).toMatchObject([{ status: "success" }]);
	await endpoints.close();
	await expect(ask("list_loras", {})).rejects.toThrow();
	await runtime.close();
});
