// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError, type Span, type SpanOptions, type Tracer } from "@dyn/common";
import { createGenerateRequest, type EngineOutput } from "@dyn/protocols";
import { expect, it } from "vitest";
import { defineHandler } from "./handler.js";
import { TokenTimes } from "./token-times.js";
import { traceGeneration } from "./trace-generation.js";

const output = (
	index: number,
	count: number,
	finishReason: EngineOutput["finishReason"] = null,
): EngineOutput => ({
	index,
	tokenIds: new Array(count).fill(7),
	logprobs: null,
	finishReason,
	stopTokenId: null,
	usage: null,
});
const request = createGenerateRequest({ model: "m", tokenIds: [1, 2, 3] });
const parent = { traceparent: `00-${"a".repeat(32)}-${"b".repeat(16)}-01` };
const own = { traceparent: `00-${"a".repeat(32)}-${"c".repeat(16)}-01` };

/** Keeps what it is told about its one span. */
function oneSpan(recording = true) {
	const told: {
		name?: string;
		options?: SpanOptions;
		attributes: Record<string, unknown>;
		failures: unknown[];
		ends: number;
	} = { attributes: {}, failures: [], ends: 0 };
	const span: Span = {
		trace: own,
		recording,
		set: (attributes) => void Object.assign(told.attributes, attributes),
		event: () => {},
		fail: (error) => void told.failures.push(error),
		end: () => void told.ends++,
	};
	const tracer: Tracer = {
		start(name, options = {}) {
			Object.assign(told, { name, options });
			return span;
		},
	};
	return { told, tracer };
}

/** The traced handler's outputs, of which `take` are taken. */
async function run(
	tracer: Tracer,
	outputs: () => AsyncGenerator<EngineOutput, void>,
	take = 100,
	asked = request,
) {
	const traces: unknown[] = [];
	const handler = traceGeneration(tracer)(
		defineHandler({
			name: "test",
			generate(_request, { trace }) {
				traces.push(trace);
				return outputs();
			},
		}),
	);
	let taken = 0;
	for await (const _ of handler.generate(asked, createRequestContext({ trace: parent })))
		if (++taken === take) break;
	return traces;
}

it("says what the engine was asked and what it did", async () => {
	const { told, tracer } = oneSpan();
	const traces = await run(tracer, async function* () {
		yield output(0, 0);
		yield output(0, 1);
		yield output(1, 1, "eos");
		yield output(0, 2, "length");
	});
	expect(traces).toEqual([own]);
	expect(told).toMatchObject({
		name: "engine.generate",
		options: { parent, attributes: { model: "m", input_tokens: 3 } },
		attributes: {
			output_tokens: 4,
			finish_reason: "eos,length",
			cancelled: false,
			ttft_ms: expect.any(Number),
		},
		failures: [],
		ends: 1,
	});
});

it("tells failure from cancellation", async () => {
	const failed = oneSpan();
	const error = new DynError("INTERNAL", "the engine broke");
	await expect(
		run(failed.tracer, async function* () {
			yield output(0, 1);
			throw error;
		}),
	).rejects.toBe(error);
	expect(failed.told).toMatchObject({
		failures: [error],
		ends: 1,
		attributes: { cancelled: false, output_tokens: 1 },
	});
	const left = oneSpan();
	await run(
		left.tracer,
		async function* () {
			yield output(0, 1);
			yield output(0, 1);
		},
		1,
	);
	expect(left.told).toMatchObject({
		failures: [],
		ends: 1,
		attributes: { cancelled: true, finish_reason: null },
	});
});

it("measures nothing for a span that nobody sees, and traces no health check", async () => {
	const unseen = oneSpan(false);
	const one = async function* () {
		yield output(0, 1, "eos");
	};
	expect(await run(unseen.tracer, one)).toEqual([own]);
	expect([unseen.told.attributes, unseen.told.ends]).toEqual([{}, 1]);
	const healthCheck = oneSpan();
	expect(await run(healthCheck.tracer, one, 100, { ...request, healthCheck: true })).toEqual([parent]);
	expect(healthCheck.told.name).toBe(undefined);
});

it("derives Dynamo's latencies from the points at which tokens came", () => {
	const times = new TokenTimes(1000);
	expect(times.attributes).toMatchObject({ output_tokens: 0, ttft_ms: null, avg_itl_ms: null });
	times.add(0, 1, 1050);
	times.add(1, 1, 1055);
	times.add(0, 4, 1090); // four tokens in 40 ms
	times.add(0, 0, 5000);
	times.add(1, 1, 1085);
	expect(times.attributes).toEqual({
		output_tokens: 7,
		ttft_ms: 50,
		avg_itl_ms: 70 / 5,
		itl_p50_ms: 10,
		itl_p99_ms: 30,
		itl_max_ms: 30,
	});
});
