// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import {
	createGenerateRequest,
	type EngineOutput,
	type GenerateRequest,
	type GenerateRequestInit,
	type KvSession,
} from "@dyn/protocols";
import { expect, it } from "vitest";
import { decodeHandler } from "./decode-handler.js";
import type { Handler } from "./handler.js";
import { prefillHandler } from "./prefill-handler.js";

const session: KvSession = {
	sessionId: "7",
	transferBackend: "NIXL",
	endpoints: [],
	dpRank: 0,
	attributes: { first_gen_tokens: [5] },
};
const item = (fields: Partial<EngineOutput>): EngineOutput => ({
	index: 0,
	tokenIds: [],
	logprobs: null,
	finishReason: null,
	stopTokenId: null,
	usage: null,
	...fields,
});

/** Answers with `outputs` and keeps what it was asked. */
function engineOf(outputs: readonly EngineOutput[]): { engine: Engine; asked: GenerateRequest[] } {
	const asked: GenerateRequest[] = [];
	const engine = {
		async *generate(request: GenerateRequest) {
			asked.push(request);
			yield* outputs;
		},
	} as unknown as Engine;
	return { engine, asked };
}

async function ask(handler: Handler, init: Omit<GenerateRequestInit, "tokenIds">): Promise<EngineOutput[]> {
	const items = [];
	const request = createGenerateRequest({ tokenIds: [1, 2], ...init });
	for await (const each of handler.generate(request, createRequestContext())) items.push(each);
	return items;
}

it("prefill asks for one token of one choice and answers with one item", async () => {
	const usage = { promptTokens: 2, completionTokens: 1, cachedTokens: 0 };
	const { engine, asked } = engineOf([
		item({ tokenIds: [5], logprobs: [{ tokenId: 5, logprob: -1, top: [] }], promptLogprobs: [null] }),
		item({ finishReason: "length", usage, logprobs: [], kvSession: session }),
	]);
	const items = await ask(prefillHandler(engine), {
		sampling: { n: 3, bestOf: 4, temperature: 0.5 },
		stop: { maxTokens: 50, minTokens: 9, ignoreEos: true },
	});
	expect(items).toEqual([
		item({
			tokenIds: [5],
			logprobs: [{ tokenId: 5, logprob: -1, top: [] }],
			promptLogprobs: [null],
			finishReason: "length",
			usage,
			kvSession: session,
		}),
	]);
	expect(asked[0]).toMatchObject({
		disaggregation: { role: "prefill" },
		sampling: { n: 1, bestOf: null, temperature: 0.5 },
		stop: { maxTokens: 1, minTokens: null, ignoreEos: true },
	});
});

it("prefill passes on an answer that is complete, and complains when there is nothing to decode from", async () => {
	const complete = item({ finishReason: "eos", stopTokenId: 2 });
	expect(await ask(prefillHandler(engineOf([complete]).engine), {})).toEqual([complete]);
	const noSession = engineOf([item({ tokenIds: [5], finishReason: "length" })]);
	await expect(ask(prefillHandler(noSession.engine), {})).rejects.toThrow("cache_transceiver_config");
	await expect(ask(prefillHandler(engineOf([]).engine), {})).rejects.toThrow("without a finish reason");
	await expect(
		ask(prefillHandler(engineOf([]).engine), { disaggregation: { role: "decode", session } }),
	).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
});

it("decode goes on from a session and does no prefill that it was not asked for", async () => {
	const { engine, asked } = engineOf([item({ tokenIds: [5], finishReason: "eos" })]);
	const handler = decodeHandler(engine);
	await ask(handler, { disaggregation: { role: "decode", session } });
	expect(asked[0]?.disaggregation).toEqual({ role: "decode", session });
	await expect(async () => ask(handler, {})).rejects.toThrow("needs the result of a prefill");
	await ask(handler, { routing: { bypassRemotePrefill: true } });
	await ask(handler, { healthCheck: true });
	expect(asked.slice(1).map(({ disaggregation }) => disaggregation)).toEqual([null, null]);
});

it("a canary of a prefill worker needs no other worker", async () => {
	const { engine, asked } = engineOf([item({ tokenIds: [5], finishReason: "length" })]);
	expect(await ask(prefillHandler(engine), { healthCheck: true })).toHaveLength(1);
	expect(asked[0]?.disaggregation).toBeNull();
});
