// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EmbedRequest } from "@dyn/protocols";
import { createPrometheusMetrics } from "@dyn/runtime/prometheus";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, aborted, ServedModel, signalled } from "../__fixtures__/served-model.js";

/** The vector of an input: its length and its first token. */
const vectorOf = (input: ArrayLike<number>) => Float32Array.of(input.length, input[0]!, 0.5);
const seenInputs: number[][][] = [];

/** Answers as a worker does. */
const embedding = async function* (request: unknown) {
	const { inputs } = request as EmbedRequest;
	seenInputs.push(inputs.map((input) => [...input]));
	yield {
		embeddings: inputs.map(vectorOf),
		promptTokens: inputs.reduce((sum, input) => sum + input.length, 0),
	};
} as unknown as Answer;

const embeds = { endpointTypes: ["chat", "completions", "embeddings"] } as const;
let served: ServedModel;
beforeEach(async () => {
	seenInputs.length = 0;
	served = await ServedModel.create(embeds);
	served.answer = embedding;
});
afterEach(() => served.close());

const post = (fields: object = {}) =>
	served.post("/v1/embeddings", { model: "m", input: "hello", ...fields });

describe("POST /v1/embeddings", () => {
	it("answers a vector per input, in their order", async () => {
		await served.start();
		const response = await post({ input: ["hello", "hi", "<|end|>"], dimensions: 3 });
		expect(response.status).toBe(200);
		expect(await response.json()).toEqual({
			object: "list",
			data: [
				{ object: "embedding", index: 0, embedding: [5, 104, 0.5] },
				{ object: "embedding", index: 1, embedding: [2, 104, 0.5] },
				{ object: "embedding", index: 2, embedding: [7, 60, 0.5] }, // a text, not the control token
			],
			model: "m",
			usage: { prompt_tokens: 14, total_tokens: 14 },
		});
		expect(served.seen[0]).toMatchObject({ model: "m", dimensions: 3 });
	});

	it("takes token ids, and writes base64 of little-endian floats", async () => {
		await served.start();
		for (const [input, first] of [
			[[9, 8], 2],
			[[[9, 8], [7]], 2],
		] as const) {
			const { data } = (await (await post({ input, encoding_format: "base64" })).json()) as {
				data: { embedding: string }[];
			};
			const bytes = Buffer.from(data[0]!.embedding, "base64");
			expect([0, 4, 8].map((at) => bytes.readFloatLE(at))).toEqual([first, 9, 0.5]);
		}
		expect(seenInputs).toEqual([[[9, 8]], [[9, 8], [7]]]);
	});

	it("cuts a large batch into requests that any worker may take", async () => {
		await served.start();
		const input = Array.from({ length: 150 }, (_, i) => [i, 1]);
		const { data } = (await (await post({ input })).json()) as { data: { embedding: number[] }[] };
		expect(data.map(({ embedding: [, first] }) => first)).toEqual(input.map(([first]) => first));
		expect(seenInputs.map(({ length }) => length)).toEqual([64, 64, 22]);
	});

	it("asks another worker when one fails, and gives up when nobody is left", async () => {
		const failing: Answer = async function* () {
			yield* [];
			throw new DynError("UNAVAILABLE", "the engine died");
		};
		for (let i = 0; i < 2; i++) await served.addInstance(embeds, failing);
		await served.start();
		for (let i = 0; i < 6; i++) expect((await post()).status).toBe(200);
		served.answer = failing;
		expect((await post()).status).toBe(503);
	});

	it.each<[object, number, string]>([
		[{ model: "none" }, 404, "model"],
		[{ input: "" }, 400, "input"],
		[{ input: "x".repeat(101) }, 400, "input"],
		[{ input: [Array(101).fill(1)] }, 400, "input"],
		[{ input: [257] }, 400, "input"],
		[{ encoding_format: "hex" }, 400, "encoding_format"],
		[{ stream: true }, 400, "stream"],
	])("refuses %j by name", async (fields, status, param) => {
		await served.start();
		const response = await post(fields);
		expect(response.status).toBe(status);
		expect(await response.json()).toMatchObject({ error: { param } });
		expect(seenInputs).toEqual([]);
	});

	it("passes on what the engine refuses", async () => {
		served.answer = async function* () {
			yield* [];
			throw new DynError("INVALID_ARGUMENT", "dimensions must be 1 to 3", {
				details: { param: "dimensions" },
			});
		};
		await served.start();
		const response = await post({ dimensions: 9 });
		expect(response.status).toBe(400);
		expect(await response.json()).toMatchObject({ error: { param: "dimensions" } });
	});

	it("is for models that make embeddings", async () => {
		await served.publish({ name: "talks" });
		await served.publish({ name: "embeds", endpointTypes: ["embeddings"] });
		await served.start();
		expect((await post({ model: "talks" })).status).toBe(404);
		expect((await post({ model: "embeds" })).status).toBe(200);
		expect((await served.complete({ model: "embeds" })).status).toBe(404);
	});

	it("cancels the engine when its client goes away, and counts both ends", async () => {
		const metrics = createPrometheusMetrics();
		await served.start({ metrics });
		await post();
		const [began, ended] = [signalled(), signalled()];
		served.answer = async function* (_request, { signal }) {
			yield* [];
			began.reach();
			await aborted(signal);
			ended.reach();
		};
		const connection = served.connect().post("/v1/embeddings", { model: "m", input: "x" });
		await began.reached;
		connection.socket.destroy();
		await ended.reached;
		await served.frontend.drain();
		const series = await metrics.expose();
		const requests = 'dynamo_frontend_requests_total{model="m",endpoint="embeddings",request_type="unary"';
		expect(series).toContain(`${requests},status="success",error_type=""} 1`);
		expect(series).toContain(`${requests},status="error",error_type="cancelled"} 1`);
		expect(series).toContain('dynamo_frontend_inflight_requests{model="m"} 0');
	});
});
