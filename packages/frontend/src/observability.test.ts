// SPDX-License-Identifier: Apache-2.0
import { createLogger, DynError, formatJsonLine, formatPrettyLine, type LogRecord } from "@dyn/common";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RecordingTracer } from "./__fixtures__/recording-tracer.js";
import { aborted, delta, end, ServedModel, signalled } from "./__fixtures__/served-model.js";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const traceparent = `00-${TRACE_ID}-b7ad6b7169203331-01`;

let served: ServedModel;
let tracer: RecordingTracer;
let records: LogRecord[];
const logger = createLogger("trace", (record) => void records.push(record));
beforeEach(async () => {
	served = await ServedModel.create();
	tracer = new RecordingTracer();
	records = [];
});
afterEach(() => served.close());

describe("the span of a request", () => {
	it("says what was asked, what came and when, and its attempt is the worker's parent", async () => {
		await served.start({ tracer });
		const traces: unknown[] = [];
		served.answer = async function* (_request, { trace }) {
			traces.push(trace);
			yield delta("Hello");
			yield end("length");
		};
		await (await served.chat({ stream: true }, { traceparent, "x-request-id": "r-1" })).text();
		await (await served.complete()).text();
		await served.frontend.drain();
		const common = { model: "m", status: 200, input_tokens: 2, output_tokens: 5, finish_reason: "length" };
		expect(tracer.spans.map(({ name, ended, failures }) => [name, ended, failures])).toEqual([
			["http-request", 1, []],
			["attempt", 1, []],
			["http-request", 1, []],
			["attempt", 1, []],
		]);
		const [streamed, unary] = tracer.named("http-request");
		expect(streamed).toMatchObject({
			options: { parent: { traceparent }, kind: "server" },
			attributes: {
				...common,
				request_id: "r-1",
				method: "POST",
				path: "/v1/chat/completions",
				endpoint: "chat_completions",
				request_type: "stream",
				cached_tokens: 0,
				migrations: 0,
				ttft_ms: expect.any(Number),
			},
		});
		expect(unary).toMatchObject({
			options: { parent: null },
			attributes: { ...common, endpoint: "completions", request_type: "unary" },
		});
		expect(traces).toEqual(tracer.named("attempt").map(({ traceparent }) => ({ traceparent })));
		expect(tracer.named("attempt").map(({ options }) => options.parent)).toEqual(
			[streamed, unary].map((span) => ({ traceparent: span!.traceparent })),
		);
	});

	it("has the status and the error of one that failed, streamed or not", async () => {
		await served.start({ tracer });
		await served.chat({ temperature: "hot" });
		await served.chat({ model: "other" });
		served.answer = async function* () {
			yield delta("x");
			throw new DynError("INTERNAL", "the engine broke");
		};
		await served.chat();
		await (await served.chat({ stream: true })).text();
		await served.frontend.drain();
		expect(
			tracer
				.named("http-request")
				.map(({ attributes, failures, ended }) => [
					attributes["status"],
					failures.map((failure) => DynError.from(failure).code),
					attributes["output_tokens"],
					ended,
				]),
		).toEqual([
			[400, ["INVALID_ARGUMENT"], undefined, 1],
			[404, ["MODEL_NOT_FOUND"], undefined, 1],
			[500, ["INTERNAL"], 1, 1],
			[200, ["INTERNAL"], 1, 1],
		]);
	});

	it("counts the moves of one whose worker failed", async () => {
		await served.publish();
		await served.start({ tracer });
		let calls = 0;
		served.answer = async function* () {
			yield delta("a");
			if (calls++ === 0) throw new DynError("DISCONNECTED", "broke off");
			yield end();
		};
		expect((await served.chat()).status).toBe(200);
		await served.frontend.drain();
		expect(tracer.spans[0]!.attributes).toMatchObject({ migrations: 1, finish_reason: "stop", status: 200 });
		expect(tracer.spans[0]!.failures).toEqual([]);
	});

	it("says when it moved; its attempts are spans below it, each linked to the one before", async () => {
		const { id } = await served.addInstance();
		await served.start({ tracer });
		let calls = 0;
		served.answer = async function* () {
			yield delta("abc");
			if (calls++ === 0) throw new DynError("DISCONNECTED", "broke off");
			yield end();
		};
		expect((await served.chat()).status).toBe(200);
		await served.frontend.drain();
		const [request, first, second] = tracer.spans;
		const [from, to] = [first, second].map((span) => span!.attributes["instance_id"]);
		expect([from, to]).toContain(String(id));
		expect(from).not.toBe(to);
		expect(request!.events).toEqual([{ name: "migrate", attributes: { from, to, reason: "disconnected" } }]);
		const parent = { traceparent: request!.traceparent };
		const common = { endpoint: "dyn://a.b.c", output_tokens: 3 };
		expect([first, second]).toMatchObject([
			{
				name: "attempt",
				options: { parent, links: [] },
				attributes: { ...common, attempt: 1, replayed_tokens: 0, migration_reason: null },
				failures: [{ code: "DISCONNECTED" }],
				ended: 1,
			},
			{
				name: "attempt",
				options: { parent, links: [{ traceparent: first!.traceparent }] },
				attributes: { ...common, attempt: 2, replayed_tokens: 3, migration_reason: "disconnected" },
				failures: [],
				ended: 1,
			},
		]);
	});

	it("of one whose client went away is cancelled, not failed", async () => {
		await served.start({ tracer });
		const began = signalled();
		served.answer = async function* (_request, { signal }) {
			began.reach();
			await aborted(signal);
			yield end();
		};
		const connection = served.connect().post("/v1/completions", { model: "m", prompt: "x", stream: true });
		await began.reached;
		connection.socket.destroy();
		await served.frontend.drain();
		const cancelled = { failures: [], ended: 1, attributes: { cancelled: true } };
		expect(tracer.spans).toMatchObject([cancelled, cancelled]);
		expect(tracer.spans[0]!.attributes["status"]).toBe(null);
	});

	it("is not made for what no client asked of a model", async () => {
		await served.start({ tracer });
		for (const path of ["/health", "/metrics", "/"]) await fetch(served.address + path);
		expect(tracer.spans).toEqual([]);
	});
});

describe("logs", () => {
	it("about a request have its id and its trace, with spans and without", async () => {
		await served.start({ tracer, logger });
		served.answer = async function* () {
			yield* [];
			throw new DynError("INTERNAL", "the engine broke");
		};
		await served.chat({}, { "x-request-id": "r-2" });
		expect(records.filter(({ message }) => message === "request failed")).toMatchObject([
			{ level: "error", fields: { request: "r-2", trace_id: "a".repeat(32) } },
		]);
		await served.frontend.close();
		records = [];
		await served.start({ logger });
		await served.chat({}, { "x-request-id": "r-3", traceparent });
		expect(records.filter(({ message }) => message === "request failed")).toMatchObject([
			{ fields: { request: "r-3", trace_id: TRACE_ID } },
		]);
	});

	it("have no errors for what a client asked in vain", async () => {
		await served.start({ logger });
		for (const [more, status] of [
			[{ tools: [{ type: "function", function: { name: "f" } }] }, 501],
			[{ temperature: 3 }, 400],
		] as const)
			expect((await served.chat(more)).status).toBe(status);
		expect(records.filter(({ level }) => level === "error")).toEqual([]);
	});

	it("and spans hold no word of prompts or answers, at any level, whatever goes wrong", async () => {
		const secret = "xyzzy";
		await served.publish();
		await served.start({ tracer, logger });
		const messages = [{ role: "user", content: secret }];
		let calls = 0;
		served.answer = async function* (_request, context) {
			context.logger.trace("handler reached");
			yield delta(secret);
			if (calls++ === 0) throw new DynError("DISCONNECTED", "broke off");
			if (calls > 3) throw new DynError("INTERNAL", "the engine broke");
			yield end();
		};
		const ask = async (body: unknown, status: number) => {
			const response = await served.post("/v1/chat/completions", body);
			expect([response.status, body]).toEqual([status, body]);
			await response.text();
		};
		await ask({ model: "m", messages }, 200); // moves
		await ask({ model: "m", messages, stream: true }, 200);
		await ask(`{"model":"m","messages":"${secret}`, 400);
		await ask({ model: "m", messages: [{ role: secret, content: secret }] }, 400);
		await ask({ model: "m", messages: [{ role: "user", content: secret.repeat(1000) }] }, 400);
		await ask({ model: secret, messages }, 404);
		await ask({ model: "m", messages, nvext: { logits_processors: [{ name: secret }] } }, 400);
		await ask({ model: "m", messages }, 500);
		await served.frontend.drain();
		const lines = records.flatMap((record) => [formatJsonLine(record), formatPrettyLine(record)]).join("\n");
		expect(lines).toContain("handler reached");
		expect(lines).toContain("request goes on at another instance");
		expect(lines).toContain("the engine broke");
		expect(lines).not.toContain(secret);
		expect(JSON.stringify(tracer.spans.map(({ attributes }) => attributes))).not.toContain(secret);
	});
});

it("metrics have Dynamo's names, labels and bounds", async () => {
	const metrics = createPrometheusMetrics();
	await served.start({ metrics });
	const [began, proceed] = [signalled(), signalled()];
	served.answer = async function* () {
		began.reach();
		await proceed.reached;
		yield delta("a");
		yield end();
	};
	const answer = served.chat();
	await began.reached;
	const waiting = await metrics.expose();
	expect(waiting).toContain('dynamo_frontend_queued_requests{model="m"} 1');
	expect(waiting).toContain('dynamo_frontend_inflight_requests{model="m"} 1');
	proceed.reach();
	await answer;
	served.answer = async function* () {
		yield* [];
		throw new DynError("INTERNAL", "before the first token");
	};
	expect((await served.chat()).status).toBe(500);
	await served.frontend.drain();
	const text = await metrics.expose();
	expect(text).toContain('dynamo_frontend_queued_requests{model="m"} 0');
	expect(text).toContain('dynamo_frontend_inflight_requests{model="m"} 0');
	expect(text).toContain('dynamo_frontend_stage_duration_seconds_count{stage="preprocess"} 2');
	const boundsOf = (name: string) =>
		[...text.matchAll(new RegExp(`^dynamo_frontend_${name}_bucket\\{le="([^"+]+)"`, "gm"))].map(([, bound]) =>
			Number(bound),
		);
	expect(boundsOf("request_duration_seconds")).toEqual([0, 2, 4, 8, 16, 32, 64, 130, 260, 510]);
	expect(boundsOf("input_sequence_tokens").slice(0, 3)).toEqual([0, 100, 210]);
	const firstToken = boundsOf("time_to_first_token_seconds");
	expect([firstToken.length, ...firstToken.slice(0, 2), firstToken.at(-1)]).toEqual([18, 0, 0.0022, 480]);
});
