// SPDX-License-Identifier: Apache-2.0
import {
	createLogger,
	createRequestContext,
	DynError,
	type LogRecord,
	noTracer,
	silentLogger,
	type TraceContext,
} from "@dyn/common";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
// @boundaries-ignore one collector double for the tests of two packages
import { CollectorDouble } from "../../../scripts/peers/collector-double.mjs";
import { createRuntime } from "../src/create-runtime.js";
import { MemoryStore } from "../src/discovery/memory-store.js";
import { createTcpPlane } from "../src/request-plane/tcp/index.js";
import { createOtelTracer, type OtelTracer, type OtelTracerOptions } from "../src/telemetry/index.js";
import type { EndpointHandler } from "../src/types.js";

const TRACE_ID = "0af7651916cd43dd8448eb211c80319c";
const CLIENT: TraceContext = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-01`, tracestate: "vendor=1" };

let collector: CollectorDouble;
const tracers: OtelTracer[] = [];
beforeEach(async () => {
	collector = await CollectorDouble.start();
});
afterEach(async () => {
	await Promise.all(tracers.splice(0).map((tracer) => tracer.close()));
	await collector.close();
});

async function tracerWith(options: OtelTracerOptions = {}): Promise<OtelTracer> {
	const tracer = await createOtelTracer({ endpoint: collector.endpoint, ...options });
	tracers.push(tracer);
	return tracer;
}

/** Calls `handler` in one runtime from another, over TCP, as a span of its own; returns the handler's contexts' traces. */
async function callOverTcp(
	handler: EndpointHandler,
	trace: TraceContext | null,
	tracer = noTracer,
	logger = silentLogger,
) {
	const discovery = new MemoryStore();
	const open = () => createRuntime({ discovery, requestPlanes: [createTcpPlane({ logger })], tracer });
	const [worker, caller] = [await open(), await open()];
	const seen: (TraceContext | null)[] = [];
	const served = await worker.endpoint("a.b.c").serve((request, context) => {
		seen.push(context.trace);
		return handler(request, context);
	});
	const span = tracer.start("caller", { parent: trace, kind: "server" });
	const context = createRequestContext({ id: "r-1", ...(span.trace ? { trace: span.trace } : {}) });
	try {
		for await (const _ of caller.endpoint("a.b.c").client().generate(1, context));
	} finally {
		span.end();
		await caller.close();
		await worker.close();
		await discovery.close();
	}
	return { seen, id: served.instance.id };
}

const answers: EndpointHandler = async function* () {
	yield 1;
};

it("spans have links to others and events; a link that is no trace is left out", async () => {
	const tracer = await tracerWith();
	const span = tracer.start("second", { links: [CLIENT, { traceparent: "nonsense" }] });
	span.event("moved", { from: "a", why: null });
	span.event("rested");
	span.end();
	await tracer.close();
	expect(collector.named("second")).toMatchObject([
		{
			links: [{ traceId: TRACE_ID, spanId: "b7ad6b7169203331" }],
			events: [
				{ name: "moved", attributes: { from: "a" } },
				{ name: "rested", attributes: {} },
			],
		},
	]);
});

describe("spans of two runtimes", () => {
	it("are one trace with the right parents, which the client began", async () => {
		const tracer = await tracerWith({ serviceName: "fleet" });
		const { seen, id } = await callOverTcp(answers, CLIENT, tracer);
		await tracer.close();
		expect(collector.paths).toEqual(["/v1/traces"]);
		const [caller] = collector.named("caller");
		const [worker] = collector.named("handle_payload");
		expect(caller).toMatchObject({ traceId: TRACE_ID, parentSpanId: "b7ad6b7169203331", service: "fleet" });
		expect(worker).toMatchObject({
			traceId: TRACE_ID,
			parentSpanId: caller!.spanId,
			traceState: "vendor=1",
			kind: 2,
			attributes: { namespace: "a", component: "b", endpoint: "c", instance_id: `${id}` },
		});
		// What the handler calls in turn is below the worker's span.
		expect(seen).toEqual([{ traceparent: `00-${TRACE_ID}-${worker!.spanId}-01`, tracestate: "vendor=1" }]);
	});

	it("begin a trace when the client has none or an invalid one", async () => {
		const tracer = await tracerWith();
		await callOverTcp(answers, null, tracer);
		await callOverTcp(answers, { traceparent: `00-${"0".repeat(32)}-b7ad6b7169203331-01` }, tracer);
		await tracer.close();
		const roots = collector.named("caller");
		expect(roots.map(({ parentSpanId }) => parentSpanId)).toEqual(["", ""]);
		expect(new Set(roots.map(({ traceId }) => traceId)).size).toBe(2);
		for (const [i, worker] of collector.named("handle_payload").entries())
			expect([worker.traceId, worker.parentSpanId]).toEqual([roots[i]!.traceId, roots[i]!.spanId]);
	});

	it("say how a request failed, but not in the client's words", async () => {
		const tracer = await tracerWith();
		const fails = (error: Error): EndpointHandler =>
			// biome-ignore lint/correctness/useYield: a handler that fails at once
			async function* () {
				throw error;
			};
		const ours = new DynError("UNAVAILABLE", "the engine died");
		const theirs = new DynError("INVALID_ARGUMENT", 'no processor named "my secret"');
		for (const error of [ours, theirs])
			await expect(callOverTcp(fails(error), null, tracer)).rejects.toThrow();
		await tracer.close();
		expect(
			collector.named("handle_payload").map(({ status, attributes }) => [status, attributes["error_kind"]]),
		).toEqual([
			[{ code: 2, message: "[UNAVAILABLE] the engine died" }, "unavailable"],
			[{ code: 2, message: "INVALID_ARGUMENT" }, "invalid_argument"],
		]);
	});
});

describe("without spans", () => {
	it("a client's trace still reaches the worker, unchanged", async () => {
		expect((await callOverTcp(answers, CLIENT)).seen).toEqual([CLIENT]);
		expect((await callOverTcp(answers, null)).seen).toEqual([null]);
		expect(collector.paths).toEqual([]);
	});

	it("a handler's log lines name request and trace", async () => {
		const records: LogRecord[] = [];
		const logger = createLogger("info", (record) => records.push(record));
		const logs: EndpointHandler = async function* (_request, context) {
			context.logger.info("working");
			yield 1;
		};
		await callOverTcp(logs, CLIENT, noTracer, logger);
		await callOverTcp(logs, null, noTracer, logger);
		expect(records.filter(({ message }) => message === "working").map(({ fields }) => fields)).toEqual([
			{ request: "r-1", trace_id: TRACE_ID },
			{ request: "r-1" },
		]);
	});

	it("a trace that is not sampled is sent by nobody below, and says so", async () => {
		const tracer = await tracerWith({ sampleRatio: 0 });
		const { seen } = await callOverTcp(answers, null, tracer);
		expect(seen[0]!.traceparent).toMatch(/-00$/);
		const unsampled = { traceparent: `00-${TRACE_ID}-b7ad6b7169203331-00` };
		const all = await tracerWith({ sampleRatio: 1 });
		await callOverTcp(answers, unsampled, all);
		expect(all.start("x", { parent: unsampled }).recording).toBe(false);
		await Promise.all([tracer.close(), all.close()]);
		expect(collector.paths).toEqual([]);
	});

	it("a trace that its client samples is kept whatever the ratio", async () => {
		const tracer = await tracerWith({ sampleRatio: 0 });
		await callOverTcp(answers, CLIENT, tracer);
		await tracer.close();
		expect(collector.spans).toHaveLength(2);
	});
});

describe("a collector", () => {
	it("that is away or fails costs spans and nothing else; it is logged once, and when it is back", async () => {
		const records: LogRecord[] = [];
		const logger = createLogger("info", (record) => records.push(record));
		const tracer = await tracerWith({ logger, maxQueuedSpans: 1 });
		collector.status = 400;
		const send = async () => {
			const seen = collector.paths.length;
			await callOverTcp(answers, null, tracer);
			await collector.until(({ paths }) => paths.length > seen);
		};
		await send();
		await send();
		collector.status = 200;
		await collector.until(({ spans }) => {
			tracer.start("ping").end();
			return spans.length > 0;
		});
		await tracer.close();
		expect(records.map(({ level, message }) => [level, message])).toEqual([
			["warn", "spans are lost: the trace collector does not take them"],
			["info", "the trace collector takes spans again"],
		]);
		expect(records[0]!.fields).toMatchObject({ collector: `${collector.endpoint}/v1/traces` });
	});

	it("that is not there harms no request and lets `close` end", async () => {
		const tracer = await tracerWith();
		await collector.close();
		await callOverTcp(answers, null, tracer);
		await tracer.close();
		await tracer.close();
		collector = await CollectorDouble.start();
	});

	it("that does not answer is waited for until the limit, not until the export gives up", async () => {
		const records: LogRecord[] = [];
		const logger = createLogger("info", (record) => records.push(record));
		const tracer = await tracerWith({ closeTimeoutMs: 1, logger });
		collector.status = null;
		tracer.start("x").end();
		await tracer.close();
		expect(records).toEqual([]); // what an export that gave up says
		await collector.until(({ paths }) => paths.length === 1);
	});

	it("gets at most what may wait for it", async () => {
		const tracer = await tracerWith({ maxQueuedSpans: 10 });
		for (let i = 0; i < 100; i++) tracer.start("x").end();
		await tracer.close();
		// Ten that waited, and the ten that were on their way when the others came.
		expect(collector.spans.length).toBeLessThanOrEqual(20);
		expect(collector.spans.length).toBeGreaterThanOrEqual(10);
	});

	it("is found under its base address or its whole one, which must be HTTP", async () => {
		const tracer = await tracerWith({
			endpoint: "http://127.0.0.1:1",
			tracesEndpoint: `${collector.endpoint}/custom`,
		});
		tracer.start("x").end();
		await tracer.close();
		expect(collector.paths).toEqual(["/custom"]);
		for (const endpoint of ["localhost:4317", "not an address"])
			await expect(createOtelTracer({ endpoint })).rejects.toMatchObject({
				code: "INVALID_ARGUMENT",
				message: expect.stringContaining(endpoint),
			});
	});
});
