// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import {
	type MessageInit,
	SMG_SERVICE,
	type SmgGenerateRequest,
	type SmgGenerateResponse,
} from "@dyn/protocols/smg";
import { type ClientReadableStream, credentials, makeClientConstructor, status } from "@grpc/grpc-js";
import { afterEach, expect, it } from "vitest";
import { createMockerEngine } from "../engine/mocker-engine.js";
import { createSmgDouble } from "./smg-double.js";

const made: (() => unknown)[] = [];
afterEach(async () => {
	for (const close of made.splice(0).reverse()) await close();
});

async function connect() {
	const engine = createMockerEngine({ speedupRatio: 0, vocabSize: 1000, maxModelLen: 1024, modelName: "m" });
	const double = await createSmgDouble({ engine });
	made.push(() => double.close());
	const Client = makeClientConstructor({ ...SMG_SERVICE }, "TrtllmService");
	const client = new Client(double.address, credentials.createInsecure());
	made.push(() => client.close());
	const unary = (name: string, request: object) =>
		new Promise((resolve, reject) =>
			(client[name] as (request: object, done: (error: unknown, value: unknown) => void) => void).call(
				client,
				request,
				(error, value) => (error ? reject(error) : resolve(value)),
			),
		);
	const stream = (init: MessageInit<SmgGenerateRequest>) => {
		const request = {
			requestId: "r",
			tokenized: { inputTokenIds: [5, 6, 7] },
			maxTokens: 4,
			streaming: true,
			...init,
		};
		return (
			client["generate"] as unknown as (request: object) => ClientReadableStream<SmgGenerateResponse>
		).call(client, request);
	};
	const generate = async (init: MessageInit<SmgGenerateRequest> = {}): Promise<SmgGenerateResponse[]> => {
		const responses: SmgGenerateResponse[] = [];
		for await (const response of stream(init)) responses.push(response as SmgGenerateResponse);
		return responses;
	};
	return { engine, unary, stream, generate };
}

it("sends deltas with cumulative counts, and one complete per sequence", async () => {
	const { generate } = await connect();
	const responses = await generate({ samplingConfig: { numReturnSequences: 2, temperature: 1, seed: 3n } });
	for (const index of [0, 1]) {
		const chunks = responses.flatMap(({ chunk }) => (chunk?.sequenceIndex === index ? [chunk] : []));
		const completes = responses.flatMap(({ complete }) =>
			complete?.sequenceIndex === index ? [complete] : [],
		);
		expect(completes).toHaveLength(1);
		expect(chunks.flatMap(({ tokenIds }) => tokenIds)).toEqual(completes[0]!.outputTokenIds);
		expect(chunks.at(-1)!.completionTokens).toBe(4);
		expect(completes[0]).toMatchObject({ finishReason: "length", promptTokens: 3, completionTokens: 4 });
	}
});

it("sends only the end when nothing is to be streamed", async () => {
	const { generate } = await connect();
	const responses = await generate({ streaming: false, outputConfig: { logprobs: 2 } });
	expect(responses).toHaveLength(1);
	expect(responses[0]!.complete!.logprobs.map(({ topLogprobs }) => topLogprobs.length)).toEqual([2, 2, 2, 2]);
});

it("names the stop token", async () => {
	const { generate } = await connect();
	const greedy = { samplingConfig: { temperature: 0 } };
	const tokenIds = (await generate(greedy)).at(-1)!.complete!.outputTokenIds;
	const stopped = (await generate({ ...greedy, stopTokenIds: [tokenIds[2]!] })).at(-1)!.complete!;
	expect(stopped).toMatchObject({ finishReason: "stop", matchedTokenId: tokenIds[2], completionTokens: 2 });
});

it.each<[string, MessageInit<SmgGenerateRequest>]>([
	["no max_tokens", { maxTokens: 0 }],
	["no tokens", { tokenized: { inputTokenIds: [] } }],
	["a bias of another vocabulary", { embeddingBias: [1] }],
	["a context phase", { disaggregatedParams: { requestType: 1 } }],
	["a token out of the vocabulary", { tokenized: { inputTokenIds: [1000] } }],
])("refuses %s", async (_, init) => {
	const { generate } = await connect();
	await expect(generate(init)).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
});

it("fails as INTERNAL when the engine dies", async () => {
	const { engine, generate, unary } = await connect();
	engine.faults.die();
	await expect(generate()).rejects.toMatchObject({ code: status.INTERNAL });
	expect(await unary("healthCheck", {})).toEqual({ status: "Error: dead" });
});

it("aborts a running request, and says when there is none", async () => {
	const { engine, stream, unary } = await connect();
	engine.faults.hang(3);
	const responses = stream({ requestId: "long", maxTokens: 900 });
	await once(responses, "data");
	await expect.poll(() => engine.faults.iteration).toBe(3);
	expect(await unary("abort", { requestId: "long" })).toEqual({ success: true, message: "" });
	engine.faults.recover();
	const ended = once(responses, "end");
	responses.resume();
	await ended;
	expect(await unary("abort", { requestId: "long" })).toMatchObject({ success: false });
});

it("cancels with its caller", async () => {
	const { engine, stream } = await connect();
	const responses = stream({ maxTokens: 900 });
	responses.on("error", () => {});
	await once(responses, "data");
	responses.cancel();
	await expect.poll(() => engine.load()[0]!.runningSequences).toBe(0);
});

it("describes itself as TensorRT-LLM does", async () => {
	const { unary } = await connect();
	expect(await unary("getModelInfo", {})).toMatchObject({
		modelId: "m",
		maxSeqLen: 1024,
		vocabSize: 1000,
		numLayers: 0,
	});
	expect(await unary("getServerInfo", {})).toMatchObject({ version: "1.3.0", worldSize: 1 });
	expect(await unary("healthCheck", {})).toEqual({ status: "OK" });
});
