// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask } from "./ask.js";
import { type Codec, Deployment, type Process, peersMissing } from "./deployment.js";
import { listed, metric } from "./observe.js";

const CODECS: readonly Codec[] = ["json", "msgpack"];

describe.skipIf(peersMissing()).each(["file", "etcd"] as const)(
	"stock workers behind our frontend, found through %s",
	(discovery) => {
		let deployment: Deployment;
		let frontend: Process;
		const workers = new Map<Codec, Process>();
		beforeAll(async () => {
			deployment = await Deployment.start(discovery);
			[frontend] = await Promise.all([
				deployment.frontend(),
				...CODECS.map(async (codec) =>
					workers.set(
						codec,
						await deployment.stockMocker(codec, { codec, flags: ["--speedup-ratio", "1000000"] }),
					),
				),
			]);
			await listed(frontend, ...CODECS);
		});
		afterAll(() => deployment?.[Symbol.asyncDispose]());

		describe.each(CODECS)("asked in %s", (model) => {
			const chat = { model, messages: [{ role: "user", content: "Hello" }], max_tokens: 16 };
			const completion = { model, prompt: "One, two, three,", max_tokens: 16 };
			const usageOf = (prompt: number) => ({
				prompt_tokens: prompt,
				completion_tokens: 16,
				total_tokens: prompt + 16,
			});
			const requests = () =>
				metric(workers.get(model)!, "dynamo_component_requests_total", 'dynamo_endpoint="generate"');

			it.each([
				// With the system message of SmolLM2's template.
				["chat", chat, 31],
				["completions", completion, 6],
			])("%s answers have all their tokens", async (_name, body, prompt) => {
				const unary = await ask(frontend, body);
				expect(unary).toMatchObject({ finishReason: "length", usage: usageOf(prompt) });
				expect(unary.text).not.toBe("");
				const options = { stream: true, stream_options: { include_usage: true } };
				const streamed = await ask(frontend, { ...body, ...options });
				expect(streamed).toMatchObject({ finishReason: "length", usage: usageOf(prompt) });
				expect(streamed.text).not.toBe("");
			});

			it("several choices are several requests, since a stock worker gives one each", async () => {
				const before = await requests();
				for (const stream of [false, true]) {
					const { texts, usage } = await ask(frontend, {
						...chat,
						n: 3,
						stream,
						...(stream ? { stream_options: { include_usage: true } } : {}),
					});
					expect(texts.filter((text) => text !== "")).toHaveLength(3);
					expect(usage!.completion_tokens).toBe(48);
				}
				expect((await requests()) - before).toBe(6);
			});

			it("many at once", async () => {
				const answers = await Promise.all(
					Array.from({ length: 64 }, (_, index) =>
						ask(frontend, { ...completion, prompt: `Number ${index}:`, stream: index % 2 === 0 }),
					),
				);
				expect(answers.map(({ finishReason }) => finishReason)).toEqual(Array(64).fill("length"));
			});
		});
	},
);
