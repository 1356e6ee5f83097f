// SPDX-License-Identifier: Apache-2.0
import { trtllmBlockKey } from "@dyn/tokens";
import { afterEach, expect, it } from "vitest";
import { createHttpDouble, type HttpDouble } from "./http-double.js";

const made: HttpDouble[] = [];
afterEach(async () => {
	await Promise.all(made.splice(0).map((double) => double.close()));
});

async function started(): Promise<HttpDouble> {
	const double = await createHttpDouble({ engine: { speedupRatio: 0, vocabSize: 1000, modelName: "m" } });
	made.push(double);
	return double;
}

const PROMPT = Array.from({ length: 70 }, (_, i) => 1 + i);
const post = (double: HttpDouble, path: string, body: object = {}) =>
	fetch(double.url + path, { method: "POST", body: JSON.stringify(body) });
const complete = async (double: HttpDouble, body: object = {}) =>
	(await (
		await post(double, "/v1/completions", {
			model: "m",
			prompt: PROMPT,
			max_tokens: 5,
			temperature: 0,
			...body,
		})
	).json()) as {
		choices: { token_ids: number[]; finish_reason: string; disaggregated_params: Record<string, unknown> }[];
		usage: object;
	};

it("answers token ids, in one piece or streamed", async () => {
	const double = await started();
	const whole = await complete(double);
	expect(whole.choices[0]!.finish_reason).toBe("length");
	expect(whole.usage).toMatchObject({ prompt_tokens: 70, completion_tokens: 5 });
	const body = {
		model: "m",
		prompt: PROMPT,
		max_tokens: 5,
		temperature: 0,
		stream: true,
		stream_options: { include_usage: true },
	};
	const text = await (await post(double, "/v1/completions", body)).text();
	const parts = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!));
	expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
	expect(
		parts.flatMap(({ choices }) => choices.flatMap((choice: { token_ids: number[] }) => choice.token_ids)),
	).toEqual(whole.choices[0]!.token_ids);
	expect(parts.at(-1).usage).toMatchObject({
		completion_tokens: 5,
		prompt_tokens_details: { cached_tokens: 64 },
	});
});

it("does one half of a request each", async () => {
	const [first, second] = [await started(), await started()];
	const { disaggregated_params: params } = (
		await complete(first, { disaggregated_params: { request_type: "context_only" } })
	).choices[0]!;
	expect(params["first_gen_tokens"]).toHaveLength(1);
	const disaggregated_params = { ...params, request_type: "generation_only" };
	const expected = await complete(await started());
	expect((await complete(second, { disaggregated_params })).choices[0]!.token_ids).toEqual(
		expected.choices[0]!.token_ids,
	);
});

it.each([
	[{ prompt: "text" }, "prompt"],
	[{ suffix: "x" }, "suffix"],
	[{ disaggregated_params: { request_type: "generation_only" } }, "encoded_opaque_state"],
])("refuses %j", async (body, message) => {
	const response = await post(await started(), "/v1/completions", { model: "m", prompt: PROMPT, ...body });
	expect(response.status).toBe(400);
	expect(await response.text()).toContain(message);
});

it("gives its KV events away once", async () => {
	const double = await started();
	await complete(double);
	const text = await (await post(double, "/kv_cache_events")).text();
	expect(text).toContain(`"block_hash":${trtllmBlockKey(PROMPT.slice(0, 32), null)}`);
	expect(JSON.parse(text)[0]).toMatchObject({
		event_id: 0,
		attention_dp_rank: 0,
		data: { type: "stored", parent_hash: null },
	});
	expect(await (await post(double, "/kv_cache_events")).json()).toEqual([]);
});

it("tells of itself", async () => {
	const double = await started();
	await complete(double);
	const get = (path: string) => fetch(double.url + path);
	expect((await get("/health")).status).toBe(200);
	expect(await (await get("/version")).json()).toEqual({ version: "1.3.0" });
	expect(await (await get("/v1/models")).json()).toMatchObject({ data: [{ id: "m" }] });
	const iterations = (await (await get("/metrics")).json()) as object[];
	expect(iterations).toHaveLength(5);
	expect(iterations[0]).toMatchObject({
		iter: 1,
		kvCacheStats: { tokensPerBlock: 32 },
		inflightBatchingStats: { numCtxTokens: 70 },
	});
	expect(await (await get("/prometheus/metrics")).text()).toContain("trtllm_kv_cache_max_blocks 16384");
	expect((await get("/nothing")).status).toBe(404);
	double.engine.faults.die();
	await complete(double);
	expect((await get("/health")).status).toBe(503);
});
