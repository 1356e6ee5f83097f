// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError, type RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest, ModelCard } from "@dyn/protocols";
import { createRuntime, type Runtime } from "@dyn/runtime";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFrontend, type Frontend, type FrontendOptions } from "./index.js";

/** A byte-level tokenizer of 256 bytes and one control token, <|end|> = 256. */
function writeTokenizer(folder: string): void {
	const characters = Array.from({ length: 256 }, (_, byte) => byte);
	let shifted = 0;
	const vocab = Object.fromEntries(
		characters.map((byte) => {
			const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
			return [String.fromCodePoint(printable ? byte : 256 + shifted++), byte];
		}),
	);
	const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
	const added = [
		{
			id: 256,
			content: "<|end|>",
			single_word: false,
			lstrip: false,
			rstrip: false,
			normalized: false,
			special: true,
		},
	];
	const document = {
		version: "1.0",
		truncation: null,
		padding: null,
		added_tokens: added,
		normalizer: null,
		pre_tokenizer: byteLevel,
		post_processor: null,
		decoder: byteLevel,
		model: {
			type: "BPE",
			dropout: null,
			unk_token: null,
			continuing_subword_prefix: null,
			end_of_word_suffix: null,
			fuse_unk: false,
			byte_fallback: false,
			ignore_merges: false,
			vocab,
			merges: [],
		},
	};
	writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(document));
	writeFileSync(
		join(folder, "tokenizer_config.json"),
		JSON.stringify({
			eos_token: "<|end|>",
			chat_template: "{% for m in messages %}{{ m.content }}{% endfor %}",
		}),
	);
}

type Answer = (request: GenerateRequest, context: RequestContext) => AsyncGenerator<EngineOutput, void>;

const delta = (text: string, extra: Partial<EngineOutput> = {}): EngineOutput => ({
	index: 0,
	tokenIds: [...Buffer.from(text)],
	logprobs: null,
	finishReason: null,
	stopTokenId: null,
	usage: null,
	...extra,
});
const end = (finishReason: EngineOutput["finishReason"] = "eos", index = 0): EngineOutput =>
	delta("", { index, finishReason, usage: { promptTokens: 1, completionTokens: 1, cachedTokens: 0 } });
const aborted = (signal: AbortSignal) =>
	signal.aborted
		? Promise.resolve()
		: new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));

let folder: string;
let runtime: Runtime;
let frontend: Frontend;
let answer: Answer;
let seen: GenerateRequest[];

async function start(options: Partial<FrontendOptions> = {}): Promise<void> {
	frontend = await createFrontend({ runtime, port: 0, ...options });
	await frontend.ready;
}

beforeEach(async () => {
	folder = mkdtempSync(join(tmpdir(), "dyn-frontend-"));
	writeTokenizer(folder);
	runtime = await createRuntime();
	seen = [];
	answer = async function* () {
		yield delta("Hello");
		yield delta(" you");
		yield end();
	};
	const served = await runtime.endpoint("a.b.c").serve((request, context) => {
		seen.push(request as GenerateRequest);
		return answer(request as GenerateRequest, context);
	});
	const card: ModelCard = {
		name: "m",
		tokenizerPath: folder,
		chatTemplatePath: null,
		endpointTypes: ["chat", "completions"],
		contextLength: 100,
		kvBlockSize: 32,
		totalKvBlocks: 10,
		maxNumSeqs: 4,
		maxNumBatchedTokens: 64,
		dpSize: 1,
		eosTokenIds: [256],
		logitsProcessors: ["known"],
		logprobs: true,
		createdSeconds: 7,
	};
	await runtime.models.publish(card, served.instance);
});
afterEach(async () => {
	await frontend.close();
	await runtime.close();
	rmSync(folder, { recursive: true });
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
	fetch(frontend.address + path, {
		method: "POST",
		headers: { "content-type": "application/json", ...headers },
		body: JSON.stringify(body),
	});
const chat = (extra: object = {}, headers = {}) =>
	post(
		"/v1/chat/completions",
		{ model: "m", messages: [{ role: "user", content: "hi" }], ...extra },
		headers,
	);
const complete = (extra: object = {}) => post("/v1/completions", { model: "m", prompt: "hi", ...extra });
const eventsOf = (text: string) =>
	[...text.matchAll(/^data: (\{.*\})$/gm)].map(([, json]) => JSON.parse(json!));

describe("answers", () => {
	beforeEach(() => start());

	it("fold a stream into a chat completion", async () => {
		const response = await chat(
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
		expect([...seen[0]!.tokenIds]).toEqual([104, 105]);
		expect(seen[0]).toMatchObject({
			sampling: { temperature: 0 },
			stop: { maxTokens: 5, stopTokenIds: [9] },
		});
	});

	it("stream with the role first, the reason before usage, and [DONE] last", async () => {
		const response = await chat({ stream: true, stream_options: { include_usage: true } });
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

	it("cut at a stop string, across deltas, and cancel the engine", async () => {
		let cancelled = false;
		answer = async function* (_request, { signal }) {
			try {
				yield delta("one ST");
				yield delta("OP two");
				await aborted(signal);
			} finally {
				cancelled = true;
			}
		};
		const text = await (await chat({ stream: true, stop: ["STOP"] })).text();
		expect(
			eventsOf(text)
				.map(({ choices }) => choices[0].delta.content)
				.join(""),
		).toBe("one ");
		expect(eventsOf(text).at(-1).choices[0].finish_reason).toBe("stop");
		expect(cancelled).toBe(true);
	});

	it("hold back half a character", async () => {
		const [first, second] = [Buffer.from("ü")[0]!, Buffer.from("ü")[1]!];
		answer = async function* () {
			yield delta("", { tokenIds: [first] });
			yield delta("", { tokenIds: [second] });
			yield end("length");
		};
		expect(await (await complete()).json()).toMatchObject({
			choices: [{ text: "ü", finish_reason: "length" }],
		});
	});

	it("give several prompts times n choices, in order", async () => {
		answer = async function* (request) {
			for (const index of [1, 0]) {
				yield delta(`${String.fromCharCode(request.tokenIds[0]!)}${index}`, { index });
				yield end("length", index);
			}
		};
		const body = (await (await complete({ prompt: ["x", "y"], n: 2, temperature: 1 })).json()) as {
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

	it("show log-probabilities in both forms", async () => {
		answer = async function* () {
			const top = [
				{ tokenId: 72, logprob: -0.5 },
				{ tokenId: 256, logprob: -Infinity },
			];
			yield delta("H", { logprobs: [{ tokenId: 72, logprob: -0.5, top }] });
			yield end();
		};
		const shown = { token: "H", logprob: -0.5, bytes: [72] };
		const one = await (await chat({ logprobs: true, top_logprobs: 2 })).json();
		expect(one).toMatchObject({
			choices: [{ logprobs: { content: [{ ...shown, top_logprobs: [shown, { logprob: -9999 }] }] } }],
		});
		const two = await (await complete({ logprobs: 2 })).json();
		expect(two).toMatchObject({
			choices: [{ logprobs: { tokens: ["H"], token_logprobs: [-0.5], text_offset: [0] } }],
		});
	});
});

describe("failures", () => {
	it("before the first byte have a status, OpenAI's body and advice on retrying", async () => {
		await start();
		answer = () => {
			throw new DynError("OVERLOADED", "every worker is busy");
		};
		for (const stream of [false, true]) {
			const response = await chat({ stream });
			expect(response.status).toBe(529);
			expect(response.headers.get("retry-after-ms")).toBe("500");
			expect(await response.json()).toEqual({
				error: { message: "every worker is busy", type: "overloaded_error", param: null, code: "overloaded" },
			});
		}
	});

	it("after the first byte are an error event, never a clean end; inner details stay inside", async () => {
		await start();
		answer = async function* () {
			yield delta("partial");
			throw new Error("secret path /etc");
		};
		const text = await (await chat({ stream: true })).text();
		expect(eventsOf(text).at(-1)).toEqual({
			error: { message: "Internal server error", type: "server_error", param: null, code: "internal" },
		});
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
		answer = async function* () {
			yield delta("partial");
		};
		expect(eventsOf(await (await chat({ stream: true })).text()).at(-1).error.code).toBe("disconnected");
		expect((await chat()).status).toBe(502);
	});

	it("name what the request got wrong", async () => {
		await start();
		expect(await (await chat({ model: "nope" })).json()).toMatchObject({
			error: { code: "model_not_found", param: "model" },
		});
		expect(await (await chat({ nvext: { logits_processors: [{ name: "x" }] } })).json()).toMatchObject({
			error: { param: "nvext.logits_processors[0].name" },
		});
		const long = await complete({ prompt: "x".repeat(100) });
		expect([
			long.status,
			((await long.json()) as { error: { code: string; param: string } }).error,
		]).toMatchObject([400, { code: "context_length_exceeded", param: "prompt" }]);
		const longer = await complete({ prompt: "x".repeat(100_000) });
		expect(((await longer.json()) as { error: { message: string } }).error.message).toContain("at least");
		expect(seen).toHaveLength(0);
	});

	it("refuse methods, routes and content types", async () => {
		await start();
		const method = await fetch(`${frontend.address}/v1/chat/completions`);
		expect([method.status, method.headers.get("allow")]).toEqual([405, "POST"]);
		expect(await (await fetch(`${frontend.address}/nope`)).json()).toMatchObject({
			error: { message: "Route not found: GET /nope" },
		});
		const typed = await fetch(`${frontend.address}/v1/completions`, { method: "POST", body: "{}" });
		expect(typed.status).toBe(415);
	});

	it("answer 413 to a body over the limit, announced or not", async () => {
		await start({ limits: { bodyBytes: 1000 } });
		expect((await complete({ prompt: "x".repeat(2000) })).status).toBe(413);
		const chunked = await fetch(`${frontend.address}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(500).fill(32)) }),
			duplex: "half",
		} as RequestInit).catch(() => null);
		expect(chunked === null || chunked.status === 413).toBe(true);
		expect((await complete()).status).toBe(200);
	});
});

describe("connections", () => {
	it("that go away cancel the engine, before and after the first byte", async () => {
		const metrics = createPrometheusMetrics();
		await start({ metrics });
		for (const early of [true, false]) {
			let reached!: () => void;
			let ended!: () => void;
			const isReached = new Promise<void>((resolve) => (reached = resolve));
			const isEnded = new Promise<void>((resolve) => (ended = resolve));
			answer = async function* (_request, { signal }) {
				if (!early) yield delta("x");
				reached();
				await aborted(signal);
				ended();
			};
			const socket = connect(Number(new URL(frontend.address).port), "127.0.0.1");
			const body = JSON.stringify({ model: "m", prompt: "x", stream: true });
			socket.write(
				`POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
			);
			await isReached;
			socket.destroy();
			await isEnded;
		}
		await frontend.drain();
		expect(await metrics.expose()).toContain(
			'dynamo_frontend_requests_total{model="m",endpoint="completions",request_type="stream",status="error",error_type="cancelled"} 2',
		);
	});

	it("are kept alive by comments while headers or tokens are late", async () => {
		await start({ limits: { headerHoldMs: 5, keepAliveMs: 5 } });
		let proceed!: () => void;
		answer = async function* () {
			await new Promise<void>((resolve) => {
				proceed = resolve;
			});
			yield end();
		};
		const response = await chat({ stream: true });
		const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
		let text = "";
		while (text.split(": ka\n\n").length < 3) text += (await reader.read()).value;
		proceed();
		for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
	});

	it("need a key when keys are set, on /v1 alone", async () => {
		await start({ apiKeys: ["right", "other"] });
		expect((await chat()).status).toBe(401);
		expect((await chat({}, { authorization: "Bearer wrong" })).status).toBe(401);
		expect((await chat({}, { authorization: "Bearer other" })).status).toBe(200);
		expect((await fetch(`${frontend.address}/health`)).status).toBe(200);
	});
});

describe("drain", () => {
	it("refuses what is new, finishes what is admitted, then stops listening", async () => {
		await start();
		let proceed!: () => void;
		answer = async function* () {
			yield delta("a");
			await new Promise<void>((resolve) => {
				proceed = resolve;
			});
			yield delta("b");
			yield end();
		};
		const running = await chat({ stream: true });
		const draining = frontend.drain();
		expect((await fetch(`${frontend.address}/health`)).status).toBe(503);
		const refused = await chat();
		expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
		proceed();
		expect((await running.text()).endsWith("data: [DONE]\n\n")).toBe(true);
		const { address } = frontend;
		await draining;
		await expect(fetch(`${address}/health`)).rejects.toThrow();
	});
});

describe("static files and information", () => {
	it("serve the page and nothing beside it", async () => {
		const pages = mkdtempSync(join(tmpdir(), "dyn-pages-"));
		writeFileSync(join(pages, "index.html"), "<p>hi</p>");
		writeFileSync(join(pages, ".secret.html"), "no");
		await start({ staticDirectory: pages });
		const page = await fetch(`${frontend.address}/`);
		expect(await page.text()).toBe("<p>hi</p>");
		expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
		expect(
			(await fetch(`${frontend.address}/`, { headers: { "if-none-match": page.headers.get("etag")! } }))
				.status,
		).toBe(304);
		for (const path of [
			"/.secret.html",
			"/..%2f..%2fetc%2fpasswd",
			"/index.html/../.secret.html",
			"/sub/index.html",
		]) {
			expect((await fetch(frontend.address + path)).status, path).toBe(404);
		}
		rmSync(pages, { recursive: true });
	});

	it("list models and health, and forget a model whose worker is gone", async () => {
		await start();
		expect(await (await fetch(`${frontend.address}/v1/models`)).json()).toMatchObject({
			object: "list",
			data: [{ id: "m", object: "model", created: 7, context_window: 100 }],
		});
		expect((await fetch(`${frontend.address}/v1/models/m`)).status).toBe(200);
		expect((await fetch(`${frontend.address}/v1/models/x`)).status).toBe(404);
		expect(await (await fetch(`${frontend.address}/health`)).json()).toMatchObject({
			status: "healthy",
			endpoints: ["dyn://a.b.c"],
		});
		expect(await (await fetch(`${frontend.address}/live`)).json()).toEqual({
			status: "live",
			message: "Service is live",
		});
	});
});
