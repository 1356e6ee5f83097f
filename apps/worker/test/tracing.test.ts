// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
// @boundaries-ignore one collector double for the tests of two packages
import { CollectorDouble } from "../../../scripts/peers/collector-double.mjs";
import { DynProcess } from "./dyn-process.js";
import { MODEL } from "./server-process.js";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const SECRET = "xyzzy";

const folder = mkdtempSync(join(tmpdir(), "dyn-tracing-"));
let collector: CollectorDouble;
let worker: DynProcess;
let frontend: DynProcess;
beforeAll(async () => {
	collector = await CollectorDouble.start();
	const start = (command: string, args: readonly string[]) =>
		DynProcess.start([command, "--file-kv", folder, ...args], {
			env: {
				OTEL_EXPORT_ENABLED: "1",
				OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint,
				OTEL_SERVICE_NAME: `dyn-${command}`,
				DYN_LOGGING_JSONL: "1",
				DYN_LOG: "trace",
			},
		});
	worker = await start("worker", ["--grace-period", "0"]);
	frontend = await start("frontend", ["--http-port", "0"]);
	while ((await models()).length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
});
afterAll(async () => {
	await frontend?.[Symbol.asyncDispose]();
	await worker?.[Symbol.asyncDispose]();
	await collector.close();
	rmSync(folder, { recursive: true });
});

const models = async () =>
	((await (await fetch(`${frontend.address}/v1/models`)).json()) as { data: unknown[] }).data;

async function chat(headers: Record<string, string>, stream: boolean): Promise<void> {
	const response = await fetch(`${frontend.address}/v1/chat/completions`, {
		method: "POST",
		headers: { "content-type": "application/json", ...headers },
		body: JSON.stringify({
			model: MODEL,
			messages: [{ role: "user", content: `Say ${SECRET}.` }],
			max_tokens: 8,
			min_tokens: 8,
			stream,
		}),
	});
	expect(response.status).toBe(200);
	await response.text();
}

it("follows requests through the processes of a deployment, sends everything at the end, and logs no prompt", async () => {
	await chat({}, true);
	await chat({ traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01`, tracestate: "vendor=1" }, false);
	await chat({ traceparent: `00-${TRACE_ID}-b7ad6b7169203331-00` }, false); // its client does not sample it
	for (const process of [frontend, worker]) {
		process.kill("SIGTERM");
		expect(await process.exited).toEqual({ code: 0, signal: null });
	}
	const requests = collector.named("http-request").filter(({ attributes }) => attributes["endpoint"]);
	expect(requests.map(({ parentSpanId }) => parentSpanId)).toEqual(["", "b7ad6b7169203331"]);
	expect(requests[1]!.traceId).toBe(TRACE_ID);
	for (const request of requests) {
		const { traceId } = request;
		const ofTrace = (name: string) => collector.named(name).filter((span) => span.traceId === traceId);
		const [attempt] = ofTrace("attempt");
		const [handled] = ofTrace("handle_payload");
		const [generated] = ofTrace("engine.generate");
		expect(
			["http-request", "attempt", "handle_payload", "engine.generate"].map((name) => ofTrace(name).length),
		).toEqual([1, 1, 1, 1]);
		expect([attempt, handled, generated].map((span) => span!.parentSpanId)).toEqual(
			[request, attempt!, handled!].map(({ spanId }) => spanId),
		);
		expect([request, handled!, generated!].map(({ service, kind }) => [service, kind])).toEqual([
			["dyn-frontend", 2],
			["dyn-worker", 2],
			["dyn-worker", 1],
		]);
		const counts = { input_tokens: expect.any(Number), output_tokens: 8, finish_reason: "length" };
		expect(request.attributes).toMatchObject({ ...counts, model: MODEL, status: 200, migrations: 0 });
		expect(handled!.attributes).toMatchObject({
			namespace: "dynamo",
			component: "backend",
			endpoint: "generate",
			instance_id: expect.stringMatching(/^\d+$/),
		});
		expect(generated!.attributes).toMatchObject({
			...counts,
			model: MODEL,
			cancelled: false,
			ttft_ms: expect.any(Number),
			avg_itl_ms: expect.any(Number),
			itl_p50_ms: expect.any(Number),
			itl_p99_ms: expect.any(Number),
			itl_max_ms: expect.any(Number),
		});
		expect(generated!.durationMs).toBeLessThanOrEqual(request.durationMs);
	}
	expect(new Set(collector.named("handle_payload").map(({ traceId }) => traceId)).size).toBe(2);
	for (const { output } of [frontend, worker]) {
		const logged = output.split("\n").filter((line) => line.startsWith("{"));
		expect(logged.length).toBeGreaterThan(0);
		for (const line of logged) JSON.parse(line);
		expect(output).not.toContain(SECRET);
	}
	expect(JSON.stringify(collector.spans)).not.toContain(SECRET);
});
