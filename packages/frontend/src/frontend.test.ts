// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { aborted, delta, end, eventsOf, ServedModel, signalled } from "./__fixtures__/served-model.js";

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

describe("failures", () => {
	it("before the first byte have a status, OpenAI's body and advice on retrying", async () => {
		await served.start();
		served.answer = () => {
			throw new DynError("OVERLOADED", "every worker is busy");
		};
		for (const stream of [false, true]) {
			const response = await served.chat({ stream });
			expect(response.status).toBe(529);
			expect(response.headers.get("retry-after-ms")).toBe("500");
			expect(await response.json()).toEqual({
				error: { message: "every worker is busy", type: "overloaded_error", param: null, code: "overloaded" },
			});
		}
	});

	it("after the first byte are an error event, never a clean end; inner details stay inside", async () => {
		await served.start();
		served.answer = async function* () {
			yield delta("partial");
			throw new Error("secret path /etc");
		};
		const text = await (await served.chat({ stream: true })).text();
		expect(eventsOf(text).at(-1)).toEqual({
			error: { message: "Internal server error", type: "server_error", param: null, code: "internal" },
		});
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
		served.answer = async function* () {
			yield delta("partial");
		};
		expect(eventsOf(await (await served.chat({ stream: true })).text()).at(-1).error.code).toBe(
			"disconnected",
		);
		expect((await served.chat()).status).toBe(502);
	});

	it("of one prompt end the others", async () => {
		await served.start();
		const others = [signalled(), signalled()];
		served.answer = async function* (request, { signal }) {
			const which = request.tokenIds[0]! - 97;
			if (which === 2) throw new DynError("UNAVAILABLE", "no worker");
			try {
				yield delta("x");
				await aborted(signal);
			} finally {
				others[which]!.reach();
			}
		};
		expect((await served.complete({ prompt: ["a", "b", "c"] })).status).toBe(503);
		await Promise.all(others.map(({ reached }) => reached));
	});

	it("name what the request got wrong", async () => {
		await served.start();
		expect(await (await served.chat({ model: "nope" })).json()).toMatchObject({
			error: { code: "model_not_found", param: "model" },
		});
		expect(await (await served.chat({ nvext: { logits_processors: [{ name: "x" }] } })).json()).toMatchObject(
			{
				error: { param: "nvext.logits_processors[0].name" },
			},
		);
		const long = await served.complete({ prompt: "x".repeat(100) });
		expect([
			long.status,
			((await long.json()) as { error: { code: string; param: string } }).error,
		]).toMatchObject([400, { code: "context_length_exceeded", param: "prompt" }]);
		const longer = await served.complete({ prompt: "x".repeat(100_000) });
		expect(((await longer.json()) as { error: { message: string } }).error.message).toContain("at least");
		expect(served.seen).toHaveLength(0);
	});

	it("say what a model does not do", async () => {
		await served.publish({ name: "plain", logprobs: false, endpointTypes: ["completions"] });
		await served.start();
		const refusals = [
			await served.complete({ model: "plain", logprobs: 1 }),
			await served.chat({ model: "plain" }),
		];
		expect(refusals.map(({ status }) => status)).toEqual([400, 404]);
		expect(await refusals[0]!.json()).toMatchObject({ error: { param: "logprobs" } });
		expect(await refusals[1]!.json()).toMatchObject({ error: { param: "model", code: "model_not_found" } });
		expect((await served.complete({ model: "plain" })).status).toBe(200);
	});

	it("refuse methods, routes and content types", async () => {
		await served.start();
		const method = await fetch(`${served.address}/v1/chat/completions`);
		expect([method.status, method.headers.get("allow")]).toEqual([405, "POST"]);
		expect(await (await fetch(`${served.address}/nope`)).json()).toMatchObject({
			error: { message: "Route not found: GET /nope" },
		});
		const typed = await fetch(`${served.address}/v1/completions`, { method: "POST", body: "{}" });
		expect(typed.status).toBe(415);
	});

	it("answer 413 to a body over the limit, announced or not", async () => {
		await served.start({ limits: { bodyBytes: 1000 } });
		expect((await served.complete({ prompt: "x".repeat(2000) })).status).toBe(413);
		const chunked = await fetch(`${served.address}/v1/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(500).fill(32)) }),
			duplex: "half",
		} as RequestInit).catch(() => null);
		expect(chunked === null || chunked.status === 413).toBe(true);
		expect((await served.complete()).status).toBe(200);
	});
});

describe("connections", () => {
	it("that go away cancel the engine, before and after the first byte", async () => {
		const metrics = createPrometheusMetrics();
		await served.start({ metrics });
		for (const early of [true, false]) {
			const [began, ended] = [signalled(), signalled()];
			served.answer = async function* (_request, { signal }) {
				if (!early) yield delta("x");
				began.reach();
				await aborted(signal);
				ended.reach();
			};
			const connection = served.connect().post("/v1/completions", { model: "m", prompt: "x", stream: true });
			await began.reached;
			connection.socket.destroy();
			await ended.reached;
		}
		await served.frontend.drain();
		expect(await metrics.expose()).toContain(
			'dynamo_frontend_requests_total{model="m",endpoint="completions",request_type="stream",status="error",error_type="cancelled"} 2',
		);
	});

	it("are kept alive by comments while headers or tokens are late", async () => {
		await served.start({ limits: { headerHoldMs: 5, keepAliveMs: 5 } });
		let proceed!: () => void;
		served.answer = async function* () {
			await new Promise<void>((resolve) => {
				proceed = resolve;
			});
			yield end();
		};
		const response = await served.chat({ stream: true });
		const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
		let text = "";
		while (text.split(": ka\n\n").length < 3) text += (await reader.read()).value;
		proceed();
		for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
		expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
	});

	it("need a key when keys are set, on /v1 alone", async () => {
		await served.start({ apiKeys: ["right", "other"] });
		expect((await served.chat()).status).toBe(401);
		expect((await served.chat({}, { authorization: "Bearer wrong" })).status).toBe(401);
		expect((await served.chat({}, { authorization: "Bearer other" })).status).toBe(200);
		expect((await fetch(`${served.address}/health`)).status).toBe(200);
	});
});

describe("drain", () => {
	it("refuses what is new, finishes what is admitted, then stops listening", async () => {
		await served.start();
		let proceed!: () => void;
		served.answer = async function* () {
			yield delta("a");
			await new Promise<void>((resolve) => {
				proceed = resolve;
			});
			yield delta("b");
			yield end();
		};
		const running = await served.chat({ stream: true });
		const draining = served.frontend.drain();
		expect((await fetch(`${served.address}/health`)).status).toBe(503);
		const refused = await served.chat();
		expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
		proceed();
		expect((await running.text()).endsWith("data: [DONE]\n\n")).toBe(true);
		const { address } = served;
		await draining;
		await expect(fetch(`${address}/health`)).rejects.toThrow();
	});
});

describe("static files and information", () => {
	it("serve the page and nothing beside it", async () => {
		const pages = mkdtempSync(join(tmpdir(), "dyn-pages-"));
		writeFileSync(join(pages, "index.html"), "<p>hi</p>");
		writeFileSync(join(pages, ".secret.html"), "no");
		await served.start({ staticDirectory: pages });
		const page = await fetch(`${served.address}/`);
		expect(await page.text()).toBe("<p>hi</p>");
		expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
		expect(
			(await fetch(`${served.address}/`, { headers: { "if-none-match": page.headers.get("etag")! } })).status,
		).toBe(304);
		for (const path of [
			"/.secret.html",
			"/..%2f..%2fetc%2fpasswd",
			"/index.html/../.secret.html",
			"/sub/index.html",
		]) {
			expect((await fetch(served.address + path)).status, path).toBe(404);
		}
		rmSync(pages, { recursive: true });
	});

	it("list models and health, and forget a model whose worker is gone", async () => {
		const withdraw = await served.publish({ name: "gone" });
		await served.start();
		await withdraw();
		while ((await served.chat({ model: "gone" })).status === 200) await new Promise(setImmediate);
		expect(await (await fetch(`${served.address}/v1/models`)).json()).toMatchObject({
			object: "list",
			data: [{ id: "m", object: "model", created: 7, context_window: 100 }],
		});
		expect((await fetch(`${served.address}/v1/models/m`)).status).toBe(200);
		expect((await fetch(`${served.address}/v1/models/x`)).status).toBe(404);
		expect(await (await fetch(`${served.address}/health`)).json()).toMatchObject({
			status: "healthy",
			endpoints: ["dyn://a.b.c"],
		});
		expect(await (await fetch(`${served.address}/live`)).json()).toEqual({
			status: "live",
			message: "Service is live",
		});
	});
});
