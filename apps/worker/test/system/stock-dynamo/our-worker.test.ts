// SPDX-License-Identifier: Apache-2.0
import { createRuntime } from "@dyn/runtime";
import { createEtcdStore } from "@dyn/runtime/etcd";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, ask, post } from "./ask.js";
import { type Codec, Deployment, type Process, peersMissing } from "./deployment.js";
import { listed } from "./observe.js";

const CODECS: readonly Codec[] = ["json", "msgpack"];

describe.skipIf(peersMissing()).each(["file", "etcd"] as const)(
	"our workers behind the stock frontend, found through %s",
	(discovery) => {
		let deployment: Deployment;
		let stock: Process;
		let ours: Process;
		beforeAll(async () => {
			deployment = await Deployment.start(discovery);
			[stock, ours] = await Promise.all([
				deployment.stockFrontend(),
				deployment.frontend(),
				...CODECS.map((codec) => deployment.worker(codec, { codec })),
			]);
			await Promise.all([listed(stock, ...CODECS), listed(ours, ...CODECS)]);
		});
		afterAll(() => deployment?.[Symbol.asyncDispose]());

		it.each(CODECS)("say in discovery that they want %s", async (codec) => {
			const where = deployment.discovery;
			const store =
				"store" in where
					? createFileStore({ directory: where.store })
					: await createEtcdStore({ endpoints: [where.etcd] });
			const runtime = await createRuntime({ discovery: store, requestPlanes: [createTcpPlane()] });
			const { requestCodec } = await runtime.endpoint(`dynamo.${codec}.generate`).client().choose();
			await runtime.close();
			await store.close();
			expect(requestCodec).toBe(codec);
		});

		describe.each(CODECS)("asked in %s", (model) => {
			const chat = (question: string, more = {}) => ({
				model,
				messages: [{ role: "user", content: question }],
				temperature: 0,
				max_tokens: 20,
				...more,
			});
			const completion = (prompt: string, more = {}) => ({
				model,
				prompt,
				temperature: 0,
				max_tokens: 20,
				...more,
			});
			/** What the stock frontend answers, which must be what ours does. */
			const same = async (body: Record<string, unknown>): Promise<Answer> => {
				const answer = await ask(stock, body);
				const { text, finishReason } = await ask(ours, body);
				expect(answer).toMatchObject({ text, finishReason });
				return answer;
			};

			it.each([
				["chat", chat("What is the capital of France?"), /Paris/],
				["completions", completion("One, two, three, four,"), /five/],
			])("%s answer as from our own frontend, streamed or not", async (_name, body, known) => {
				const unary = await same(body);
				expect(unary.text).toMatch(known);
				expect(unary.usage!.completion_tokens).toBeGreaterThan(5);
				const streamed = await same({ ...body, stream: true, stream_options: { include_usage: true } });
				expect(streamed.text).toBe(unary.text);
				for (const key of ["prompt_tokens", "completion_tokens", "total_tokens"] as const)
					expect(streamed.usage![key]).toBe(unary.usage![key]);
				expect((await ask(ours, body)).usage).toMatchObject({
					prompt_tokens: unary.usage!.prompt_tokens,
					completion_tokens: unary.usage!.completion_tokens,
				});
			});

			it("long answers come whole", async () => {
				const body = completion("Once upon a time", { max_tokens: 100 });
				const { usage, finishReason } = await same(body);
				expect(usage!.completion_tokens).toBe(100);
				expect(finishReason).toBe("length");
				await same({ ...body, stream: true });
			});

			it("logprobs are those of our own frontend", async () => {
				interface Logprobs {
					content: { token: string; logprob: number; top_logprobs: { token: string; logprob: number }[] }[];
				}
				const body = chat("What is the capital of France?", { logprobs: true, top_logprobs: 3 });
				const [theirs, own] = await Promise.all(
					[stock, ours].map(async (each) => (await ask(each, body)).logprobs as Logprobs),
				);
				expect(theirs!.content.length).toBeGreaterThan(5);
				expect(theirs!.content).toHaveLength(own!.content.length);
				for (const [index, { token, logprob, top_logprobs: top }] of own!.content.entries()) {
					const there = theirs!.content[index]!;
					expect(there.token).toBe(token);
					expect(there.logprob).toBeCloseTo(logprob, 3);
					expect(there.top_logprobs.map((each) => each.token)).toEqual(top.map((each) => each.token));
					expect(top).toHaveLength(3);
				}
			});

			it("a stop string ends the answer before it", async () => {
				const whole = await same(chat("What is the capital of France?"));
				const { text, finishReason } = await same(
					chat("What is the capital of France?", { stop: ["Paris"] }),
				);
				expect(finishReason).toBe("stop");
				expect(text).toBe(whole.text.slice(0, whole.text.indexOf("Paris")));
			});

			it("a seed fixes what is sampled", async () => {
				const sampled = (seed: number) => completion("My favourite colour is", { temperature: 1.5, seed });
				const first = await same(sampled(7));
				expect((await ask(stock, sampled(7))).text).toBe(first.text);
				expect((await same(sampled(8))).text).not.toBe(first.text);
			});

			it.each([
				["a prompt beyond the context", completion("word ".repeat(10_000)), /10\d\d\d tokens.*8192/],
				["more tokens than fit", chat("Hi", { max_tokens: 9000 }), /max_tokens is 9000.*8192/],
			])("%s is refused with what the worker says", async (_name, body, message) => {
				const unary = await post(stock, body);
				expect([unary.status, await unary.text()]).toEqual([400, expect.stringMatching(message)]);
				// The stock frontend has sent its head by then.
				const streamed = await (await post(stock, { ...body, stream: true })).text();
				expect(streamed).toMatch(message);
				expect(streamed).toContain('"code":400');
			});
		});
	},
);
