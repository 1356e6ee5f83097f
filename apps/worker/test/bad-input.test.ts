// SPDX-License-Identifier: Apache-2.0
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MODEL, ServerProcess } from "./server-process.js";

let server: ServerProcess;
let undisturbed: string;
const story = {
	model: MODEL,
	prompt: "Once upon a time",
	max_tokens: 200,
	temperature: 0,
	stream: true,
	ignore_eos: true,
};

/** The concatenated text of a streamed completion. */
async function streamText(body: unknown): Promise<string> {
	const text = await (await server.post("/v1/completions", body)).text();
	expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
	return [...text.matchAll(/^data: (\{.*\})$/gm)]
		.map(([, json]) => JSON.parse(json!).choices[0]?.text ?? "")
		.join("");
}

beforeAll(async () => {
	server = await ServerProcess.start();
	undisturbed = await streamText(story);
});
afterAll(() => server?.[Symbol.asyncDispose]());

const chat = (extra: object) => ({
	model: MODEL,
	messages: [{ role: "user", content: "Hi" }],
	max_tokens: 1,
	...extra,
});

async function expectRefused(
	body: unknown,
	param: string | null,
	path = "/v1/chat/completions",
): Promise<void> {
	const response = await server.post(path, body);
	const { error } = (await response.json()) as { error: { message: string; param: string | null } };
	expect(response.status, JSON.stringify(error)).toBeGreaterThanOrEqual(400);
	expect(response.status).toBeLessThan(500);
	expect(error.message.length).toBeGreaterThan(5);
	if (param !== null) expect(error.param).toBe(param);
}

describe("bad input gets a 4xx that names the field", () => {
	it.each([
		["wrong type", chat({ temperature: "hot" }), "temperature"],
		["out of range", chat({ top_p: 2 }), "top_p"],
		["not a number", chat({ max_tokens: null, n: "three" }), "n"],
		["unknown field", chat({ temprature: 1 }), "temprature"],
		[
			"unknown content part",
			{ model: MODEL, messages: [{ role: "user", content: [{ type: "hologram" }] }] },
			"messages[0].content[0].type",
		],
		["unknown role", { model: MODEL, messages: [{ role: "pirate", content: "arr" }] }, "messages[0].role"],
		["no messages", { model: MODEL, messages: [] }, "messages"],
		[
			"unknown logits processor",
			chat({ nvext: { logits_processors: [{ name: "nope" }] } }),
			"nvext.logits_processors[0].name",
		],
		["1,000 stop strings", chat({ stop: Array.from({ length: 1000 }, (_, i) => `stop ${i}`) }), "stop"],
		["token id beyond the vocabulary", { model: MODEL, prompt: [99_999_999], max_tokens: 1 }, "prompt"],
	])("%s", async (_name, body, param) => {
		await expectRefused(
			body,
			param,
			"prompt" in (body as object) ? "/v1/completions" : "/v1/chat/completions",
		);
	});

	it("prompt beyond the context", async () => {
		await expectRefused({ model: MODEL, prompt: "word ".repeat(20_000) }, null, "/v1/completions");
	});

	it("very deep JSON", async () => {
		await expectRefused(`{"model":"${MODEL}","messages":${"[".repeat(200_000)}${"]".repeat(200_000)}}`, null);
	});

	it("invalid UTF-8 is replaced, not fatal", async () => {
		const body = Buffer.concat([
			Buffer.from(`{"model":"${MODEL}","prompt":"a`),
			Buffer.from([0xff, 0xfe]),
			Buffer.from('","max_tokens":1}'),
		]);
		const response = await fetch(`${server.address}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body,
		});
		expect(response.status).toBe(200);
	});

	it("a 100 MB body is refused without being read whole", async () => {
		const answer = await new Promise<string>((resolve, reject) => {
			const socket = connect(server.port, "127.0.0.1");
			let text = "";
			socket.on("data", (chunk) => {
				text += chunk;
				if (text.includes("\r\n\r\n")) {
					socket.destroy();
					resolve(text);
				}
			});
			socket.on("error", (error) => (text ? resolve(text) : reject(error)));
			socket.write(
				"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n",
			);
			const chunk = Buffer.alloc(65536, 0x20);
			let sent = 0;
			const more = () => {
				while (sent < 104857600 && !socket.destroyed && socket.writable) {
					sent += chunk.length;
					if (!socket.write(chunk)) return void socket.once("drain", more);
				}
			};
			more();
		});
		expect(answer).toMatch(/^HTTP\/1.1 413 /);
	});
});

/** A small generator with a fixed seed (mulberry32). */
function random(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x6d2b79f5) | 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

it("survives 5,000 fuzzed bodies beside a stream that stays what it was", async () => {
	const next = random(20261121);
	const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
	const odd = [
		null,
		true,
		-1,
		Number.MAX_VALUE,
		2 ** 53,
		"",
		"\u0000",
		"\ud800",
		[],
		{},
		[[]],
		{ __proto__: null },
		"a".repeat(1000),
		Number.NaN,
	];
	const fields = [
		"model",
		"messages",
		"temperature",
		"top_p",
		"n",
		"stop",
		"max_tokens",
		"stream",
		"logit_bias",
		"nvext",
		"stream_options",
		"seed",
		"prompt",
		"logprobs",
		"__proto__",
		"constructor",
	];
	const mutate = (): string => {
		const body: Record<string, unknown> = chat({ temperature: 0 });
		for (let i = 0; i < 1 + next() * 3; i++) body[pick(fields)] = pick(odd);
		const text = JSON.stringify(body);
		const cut = next();
		if (cut < 0.2) return text.slice(0, Math.floor(next() * text.length));
		if (cut < 0.4) {
			const at = Math.floor(next() * text.length);
			return text.slice(0, at) + String.fromCharCode(Math.floor(next() * 256)) + text.slice(at + 1);
		}
		return text;
	};
	const beside = streamText(story);
	const slow: number[] = [];
	for (let round = 0; round < 500; round++) {
		await Promise.all(
			Array.from({ length: 10 }, async () => {
				const began = performance.now();
				const response = await server.post(pick(["/v1/chat/completions", "/v1/completions"]), mutate());
				await response.arrayBuffer();
				expect(response.status).toBeLessThan(500);
				if (response.status >= 400) slow.push(performance.now() - began);
			}),
		);
	}
	slow.sort((a, b) => a - b);
	console.log(
		`${slow.length} refusals, p50 ${slow[slow.length >> 1]!.toFixed(1)} ms, p99 ${slow[Math.floor(slow.length * 0.99)]!.toFixed(1)} ms`,
	);
	expect(await beside).toBe(undisturbed);
	expect((await fetch(`${server.address}/health`)).status).toBe(200);
});
