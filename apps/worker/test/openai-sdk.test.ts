// SPDX-License-Identifier: Apache-2.0
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, MODEL, ServerProcess } from "./server-process.js";

let server: ServerProcess;
let client: OpenAI;
beforeAll(async () => {
	server = await ServerProcess.start();
	client = new OpenAI({ baseURL: `${server.address}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const capital = [
	{ role: "user" as const, content: "What is the capital of France? Answer in one sentence." },
];

describe("official openai SDK for Node", () => {
	it("chats", async () => {
		const answer = await client.chat.completions.create({
			model: MODEL,
			messages: capital,
			temperature: 0,
			max_tokens: 32,
		});
		expect(answer.object).toBe("chat.completion");
		expect(answer.choices[0]!.message).toMatchObject({ role: "assistant" });
		expect(answer.choices[0]!.message.content).toContain("Paris");
		expect(answer.choices[0]!.finish_reason).toBe("stop");
		expect(answer.usage!.total_tokens).toBe(answer.usage!.prompt_tokens + answer.usage!.completion_tokens);
	});

	it("streams the same text that it answers at once, with usage last", async () => {
		const body = { model: MODEL, messages: capital, temperature: 0, max_tokens: 32 };
		const whole = await client.chat.completions.create(body);
		let text = "";
		let usage = null;
		for await (const chunk of await client.chat.completions.create({
			...body,
			stream: true,
			stream_options: { include_usage: true },
		})) {
			text += chunk.choices[0]?.delta.content ?? "";
			usage = chunk.usage ?? usage;
		}
		expect(text).toBe(whole.choices[0]!.message.content);
		expect(usage).toMatchObject({ completion_tokens: whole.usage!.completion_tokens });
	});

	it("serves the .stream() helper", async () => {
		const runner = client.chat.completions.stream({
			model: MODEL,
			messages: capital,
			temperature: 0,
			max_tokens: 16,
		});
		const final = await runner.finalChatCompletion();
		expect(final.choices[0]!.message.content).toContain("Paris");
	});

	it("gives n choices, log-probabilities and seeds", async () => {
		const body = {
			model: MODEL,
			messages: capital,
			temperature: 1,
			n: 3,
			seed: 7,
			max_tokens: 8,
			logprobs: true,
			top_logprobs: 2,
		};
		const first = await client.chat.completions.create(body);
		const second = await client.chat.completions.create(body);
		expect(first.choices.map((choice) => choice.index)).toEqual([0, 1, 2]);
		expect(second.choices.map((choice) => choice.message.content)).toEqual(
			first.choices.map((choice) => choice.message.content),
		);
		for (const { logprobs } of first.choices) {
			for (const entry of logprobs!.content!) {
				expect(entry.logprob).toBeLessThanOrEqual(0);
				expect(entry.top_logprobs).toHaveLength(2);
				expect(Buffer.from(entry.bytes!).toString()).toBe(entry.token);
			}
		}
	});

	it("completes plain prompts, several at once, and stops at a string", async () => {
		const answer = await client.completions.create({
			model: MODEL,
			prompt: ["1, 2, 3, 4, 5,", "a, b, c, d, e,"],
			temperature: 0,
			max_tokens: 24,
			stop: [" 9", " j"],
		});
		expect(answer.choices).toHaveLength(2);
		expect(answer.choices[0]!.text).toContain("6");
		expect(answer.choices[0]!.text).not.toContain("9");
		expect(answer.choices[0]!.finish_reason).toBe("stop");
	});

	it("embeds texts and token ids, as near as they mean the same", async () => {
		const input = [
			"The cat sleeps on the sofa.",
			"A kitten naps on the couch.",
			"The central bank raised interest rates.",
		];
		// The SDK asks for base64 and decodes it.
		const { data, usage } = await client.embeddings.create({ model: MODEL, input });
		const [cat, kitten, bank] = data.map(({ embedding }) => embedding);
		const dot = (a: readonly number[], b: readonly number[]) =>
			a.reduce((sum, value, i) => sum + value * b[i]!, 0);
		expect(cat).toHaveLength(576);
		expect(dot(cat!, cat!)).toBeCloseTo(1, 5);
		expect(dot(cat!, kitten!)).toBeGreaterThan(dot(cat!, bank!));
		expect(usage.total_tokens).toBe(usage.prompt_tokens);

		const floats = await client.embeddings.create({
			model: MODEL,
			input: input[0]!,
			encoding_format: "float",
		});
		expect(floats.data[0]!.embedding).toEqual(cat);
		const short = await client.embeddings.create({ model: MODEL, input: [[1, 2, 3], [4]], dimensions: 8 });
		expect(short.data.map(({ embedding }) => embedding.length)).toEqual([8, 8]);
		const large = client.embeddings.create({ model: MODEL, input: "x", dimensions: 577 });
		await expect(large).rejects.toMatchObject({ status: 400, param: "dimensions" });
	});

	it("lists and describes models", async () => {
		const ids = [];
		for await (const model of client.models.list()) ids.push(model.id);
		expect(ids).toEqual([MODEL]);
		expect(await client.models.retrieve(MODEL)).toMatchObject({ id: MODEL, object: "model" });
	});

	it("aborts: the engine is idle soon after", async () => {
		const stream = await client.chat.completions.create({
			model: MODEL,
			messages: capital,
			max_tokens: 4000,
			stream: true,
			temperature: 1,
			seed: 3,
		});
		for await (const _ of stream) break;
		await eventually(
			"no request in flight",
			async () => (await server.metric("dynamo_frontend_inflight_requests")) === 0,
			2000,
		);
	});

	it("maps errors to the SDK's classes, with param and request id", async () => {
		const bad = client.chat.completions.create({ model: MODEL, messages: capital, temperature: 9 });
		await expect(bad).rejects.toBeInstanceOf(OpenAI.BadRequestError);
		await expect(bad).rejects.toMatchObject({
			status: 400,
			param: "temperature",
			requestID: expect.any(String),
		});
		const missing = client.chat.completions.create({ model: "no-such-model", messages: capital });
		await expect(missing).rejects.toBeInstanceOf(OpenAI.NotFoundError);
		await expect(missing).rejects.toMatchObject({ status: 404, code: "model_not_found" });
		await expect(client.models.retrieve("no-such-model")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
		const long = client.completions.create({ model: MODEL, prompt: "word ".repeat(9000) });
		await expect(long).rejects.toBeInstanceOf(OpenAI.BadRequestError);
	});
});
