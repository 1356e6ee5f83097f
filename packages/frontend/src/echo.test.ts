// SPDX-License-Identifier: Apache-2.0
import type { TokenLogprobs } from "@dyn/protocols";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { delta, end, eventsOf, ServedModel } from "./__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create();
	await served.start();
});
afterEach(() => served.close());

const logprob = (char: string, value: number): TokenLogprobs => ({
	tokenId: char.charCodeAt(0),
	logprob: value,
	top: [{ tokenId: 122, logprob: -0.5 }],
});
const complete = (body: object) =>
	served.post("/v1/completions", { model: "m", prompt: "abc", max_tokens: 5, ...body });

describe("echo", () => {
	it("puts the prompt before each answer, and counts it as prompt", async () => {
		served.answer = async function* () {
			yield delta("X", { index: 1 });
			yield delta("Y");
			yield end("length", 1);
			yield end("length");
		};
		const answer = JSON.parse(await (await complete({ echo: true, n: 2, temperature: 1 })).text());
		expect(answer.choices.map(({ text }: { text: string }) => text)).toEqual(["abcY", "abcX"]);
		expect(answer.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 2 });
		expect(served.seen[0]!.output).toEqual({ logprobs: null, promptLogprobs: null });
	});

	it("comes with the prompt's log-probabilities; nothing is known of the first token", async () => {
		const promptLogprobs = [null, logprob("b", -1), logprob("c", -2)];
		served.answer = async function* () {
			// Another choice may be faster than the one that brings them.
			yield delta("X", { index: 1, logprobs: [logprob("X", -4)] });
			yield delta("Y", { logprobs: [logprob("Y", -3)], promptLogprobs });
			yield end("length", 1);
			yield end("length");
		};
		const request = { echo: true, logprobs: 1, n: 2, temperature: 1 };
		const { choices } = JSON.parse(await (await complete(request)).text());
		expect(served.seen[0]!.output).toEqual({ logprobs: 1, promptLogprobs: 1 });
		expect(choices[1].logprobs).toEqual({
			tokens: ["a", "b", "c", "X"],
			token_logprobs: [null, -1, -2, -4],
			top_logprobs: [null, { z: -0.5 }, { z: -0.5 }, { z: -0.5 }],
			text_offset: [0, 1, 2, 3],
		});
		expect(choices[0].logprobs.token_logprobs).toEqual([null, -1, -2, -3]);
		const events = eventsOf(await (await complete({ ...request, stream: true })).text());
		for (const choice of choices) {
			const mine = events.flatMap((event) => event.choices).filter(({ index }) => index === choice.index);
			expect(mine.map(({ text }) => text).join("")).toBe(choice.text);
			expect(mine.flatMap(({ logprobs }) => logprobs?.text_offset ?? [])).toEqual([0, 1, 2, 3]);
		}
	});

	it("shows long prompts in pieces", async () => {
		const prompt = "p".repeat(40);
		served.answer = async function* () {
			yield delta("Y", {
				logprobs: [logprob("Y", -3)],
				promptLogprobs: [null, ...Array.from({ length: 39 }, () => logprob("p", -1))],
			});
			yield end();
		};
		const events = eventsOf(await (await complete({ prompt, echo: true, logprobs: 0, stream: true })).text());
		const sizes = events.map(({ choices }) => choices[0]?.logprobs?.tokens.length ?? 0);
		expect(sizes.slice(0, 4)).toEqual([16, 16, 8, 1]);
		expect(events.map(({ choices }) => choices[0]?.text ?? "").join("")).toBe(`${prompt}Y`);
	});
});

it("best_of reaches the engine", async () => {
	served.answer = async function* () {
		yield delta("Y");
		yield end();
	};
	await complete({ best_of: 4, temperature: 1 });
	expect(served.seen[0]!.sampling).toMatchObject({ n: 1, bestOf: 4 });
});
