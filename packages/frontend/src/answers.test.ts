// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aborted, delta, end, eventsOf, ServedModel } from "./__fixtures__/served-model.js";

let served: ServedModel;
beforeEach(async () => {
	served = await ServedModel.create();
});
afterEach(() => served.close());

describe("answers", () => {
	beforeEach(async () => void (await served.start()));

	it("fold a stream into a chat completion", async () => {
		const response = await served.chat(
			{ temperature: 0, max_tokens: 5, stop_token_ids: [9] },
			{ "x-request-id": "mine-1" },
		);
		expect(response.headers.get("x-request-id")).toBe("mine-1");
		expect(await response.json()).toMatchObject({
			id: "chatcmpl-mine-1",
			object: "chat.completion",
			model: "m",
			choices: [{ index: 0, message: { role: "assistant", content: "Hello you" }, finish_reason: "stop" }],
			usage: { prompt_tokens: 2, completion_tokens: 9, total_tokens: 11 },
		});
		expect([...served.seen[0]!.tokenIds]).toEqual([104, 105]);
		expect(served.seen[0]).toMatchObject({
			sampling: { temperature: 0 },
			stop: { maxTokens: 5, stopTokenIds: [9] },
		});
	});

	it("stream with the role first, the reason before usage, and [DONE] last", async () => {
		const response = await served.chat({ stream: true, stream_options: { include_usage: true } });
		expect(response.headers.get("content-type")).toContain("text/event-stream");
		expect(response.headers.get("cache-control")).toBe("no-cache, no-transform");
		expect(response.headers.get("x-accel-buffering")).toBe("no");
		const text = await response.text();
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
		const events = eventsOf(text);
		expect(events.map(({ choices }) => choices[0]?.delta)).toEqual([
			{ role: "assistant", content: "Hello" },
			{ content: " you" },
			{ content: "" },
			undefined,
		]);
		expect(events.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, null, "stop", undefined]);
		expect(events.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 9 } });
		for (const event of events) expect(event).not.toHaveProperty("error");
	});

	it("keep to words, each of which stands for its tokens with and without a space before it", async () => {
		await served.chat({ bad_words: ["ab", [1, 2]], bad_words_token_ids: [[3]] });
		expect(served.seen[0]!.sampling.badWords).toEqual([[97, 98], [32, 97, 98], [1, 2], [3]]);
	});

	it("cut at a stop string, across deltas, and cancel the engine", async () => {
		let cancelled = false;
		served.answer = async function* (_request, { signal }) {
			try {
				yield delta("one ST");
				yield delta("OP two");
				await aborted(signal);
			} finally {
				cancelled = true;
			}
		};
		const text = await (await served.chat({ stream: true, stop: ["STOP"] })).text();
		expect(
			eventsOf(text)
				.map(({ choices }) => choices[0].delta.content)
				.join(""),
		).toBe("one ");
		expect(eventsOf(text).at(-1).choices[0].finish_reason).toBe("stop");
		expect(cancelled).toBe(true);
	});

	it("end with the token that ends a stop string, however many come at once", async () => {
		const tokens = [..."a STOP b"].map((letter) => letter.charCodeAt(0));
		const logprobs = tokens.map((tokenId) => ({ tokenId, logprob: -1, top: [] }));
		for (const size of [1, 3, tokens.length]) {
			served.answer = async function* () {
				for (let at = 0; at < tokens.length; at += size)
					yield delta("", {
						tokenIds: tokens.slice(at, at + size),
						logprobs: logprobs.slice(at, at + size),
					});
				yield end("length");
			};
			const body = (await (await served.complete({ stop: "STOP", logprobs: 0 })).json()) as {
				choices: { text: string; logprobs: { tokens: string[] } }[];
				usage: object;
			};
			expect(body).toMatchObject({
				choices: [{ text: "a ", finish_reason: "stop" }],
				usage: { completion_tokens: 6 },
			});
			expect(body.choices[0]!.logprobs.tokens.join("")).toBe("a STOP");
		}
	});

	it("have as many tokens as min_tokens before a stop string ends them", async () => {
		served.answer = async function* () {
			yield delta("xaxxa");
			yield delta("xxa");
			yield end("length");
		};
		const textWith = async (options: object) => {
			const body = (await (await served.complete(options)).json()) as { choices: { text: string }[] };
			return body.choices[0]!.text;
		};
		const texts = [0, 1, 2, 3, 5, 6, 9].map((min_tokens) => textWith({ stop: ["xa", "a"], min_tokens }));
		expect(await Promise.all(texts)).toEqual(["", "", "x", "xax", "xaxx", "xaxxax", "xaxxaxxa"]);
	});

	it("hold back half a character", async () => {
		const [first, second] = [Buffer.from("ü")[0]!, Buffer.from("ü")[1]!];
		served.answer = async function* () {
			yield delta("", { tokenIds: [first] });
			yield delta("", { tokenIds: [second] });
			yield end("length");
		};
		expect(await (await served.complete()).json()).toMatchObject({
			choices: [{ text: "ü", finish_reason: "length" }],
		});
	});

	it("give several prompts times n choices, in order", async () => {
		served.answer = async function* (request) {
			for (const index of [1, 0]) {
				yield delta(`${String.fromCharCode(request.tokenIds[0]!)}${index}`, { index });
				yield end("length", index);
			}
		};
		const body = (await (await served.complete({ prompt: ["x", "y"], n: 2, temperature: 1 })).json()) as {
			choices: { index: number; text: string }[];
			usage: object;
		};
		expect(body.choices.map(({ index, text }) => [index, text])).toEqual([
			[0, "x0"],
			[1, "x1"],
			[2, "y0"],
			[3, "y1"],
		]);
		expect(body.usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 8 });
	});

	it("come in events below 256 KiB, also when the engine made much while nobody read", async () => {
		const top = Array.from({ length: 20 }, () => ({ tokenId: 0xff, logprob: -1.2345678901234567 }));
		const logprobs = Array.from({ length: 4000 }, () => ({
			tokenId: 0xff,
			logprob: -1.2345678901234567,
			top,
		}));
		served.answer = async function* () {
			yield delta("", { tokenIds: new Array(4000).fill(1), logprobs, finishReason: "length" });
		};
		for (const wanted of [{}, { logprobs: true, top_logprobs: 20 }]) {
			const text = await (await served.chat({ stream: true, ...wanted })).text();
			const sizes = text.split("\n\n").map((event) => Buffer.byteLength(event));
			expect(Math.max(...sizes)).toBeLessThan(256 * 1024);
			const choices = eventsOf(text).map(({ choices }) => choices[0]);
			expect(choices.map(({ delta }) => delta.content).join("")).toBe("\u0001".repeat(4000));
			expect(choices.flatMap(({ logprobs }) => logprobs?.content ?? [])).toHaveLength(
				"logprobs" in wanted ? 4000 : 0,
			);
			expect(choices.filter(({ finish_reason }) => finish_reason !== null)).toEqual([choices.at(-1)]);
		}
	});

	it("let the engine end its stream, unless a stop string ended the answer before", async () => {
		const ends: string[] = [];
		served.answer = async function* () {
			let how = "left";
			try {
				yield delta("a STOP b");
				yield end("length");
				how = "ended";
			} finally {
				ends.push(how);
			}
		};
		await (await served.complete()).text();
		await (await served.complete({ stop: "STOP" })).text();
		expect(ends).toEqual(["ended", "left"]);
	});

	it("show log-probabilities in both forms", async () => {
		served.answer = async function* () {
			const top = [
				{ tokenId: 72, logprob: -0.5 },
				{ tokenId: 256, logprob: -Infinity },
			];
			yield delta("H", { logprobs: [{ tokenId: 72, logprob: -0.5, top }] });
			yield end();
		};
		const shown = { token: "H", logprob: -0.5, bytes: [72] };
		const one = await (await served.chat({ logprobs: true, top_logprobs: 2 })).json();
		expect(one).toMatchObject({
			choices: [{ logprobs: { content: [{ ...shown, top_logprobs: [shown, { logprob: -9999 }] }] } }],
		});
		const two = await (await served.complete({ logprobs: 2 })).json();
		expect(two).toMatchObject({
			choices: [{ logprobs: { tokens: ["H"], token_logprobs: [-0.5], text_offset: [0] } }],
		});
	});
});

it("an adapter is a model of its own to clients, and a name beside the prompt to its worker", async () => {
	await served.publish({ name: "polite", lora: "polite" });
	await served.start();
	const models = (await (await fetch(`${served.address}/v1/models`)).json()) as { data: { id: string }[] };
	expect(models.data.map(({ id }) => id)).toEqual(["m", "polite"]);
	for (const model of ["m", "polite"]) expect((await served.complete({ model })).status).toBe(200);
	expect(served.seen.map(({ lora }) => lora)).toEqual([null, "polite"]);
});
