// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { DynError, ERROR_CODES, type ErrorCode } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { FULL_REQUEST, SESSION as session } from "../__fixtures__/full-request.js";
import { createGenerateRequest } from "../generate-request.js";
import type { GuidedDecoding } from "../guided-decoding.js";
import { parseJson, stringifyJson } from "../json.js";
import type { JsonValue } from "../kv-session.js";
import type { ModelCard } from "../model-card.js";
import { decodeMsgpack, encodeMsgpack } from "../msgpack/index.js";
import {
	decodeDynamoError,
	decodeKvSession,
	decodeLlmEngineOutput,
	decodeModelCard,
	decodePreprocessedRequest,
	encodeDynamoError,
	encodeKvSession,
	encodeLlmEngineOutput,
	encodeModelCard,
	encodePreprocessedRequest,
	slugOf,
} from "./index.js";

const overWire = (value: unknown): unknown => parseJson(stringifyJson(value));

describe("a request", () => {
	it("arrives as it was sent", () => {
		const request = createGenerateRequest({ ...FULL_REQUEST, healthCheck: true });
		expect(decodePreprocessedRequest(overWire(encodePreprocessedRequest(request)))).toEqual(request);
	});

	it.each<GuidedDecoding>([
		{ kind: "json_schema", schema: '{"type":"object"}' },
		{ kind: "json_object" },
		{ kind: "regex", pattern: "a+" },
		{ kind: "grammar", ebnf: "root ::= [a]" },
		{ kind: "structural_tag", tag: '{"structures":[]}' },
		{ kind: "choice", choices: ["yes", "no"] },
	])("arrives with its constraint $kind", (guided) => {
		const request = createGenerateRequest({ tokenIds: [1], guided });
		expect(decodePreprocessedRequest(overWire(encodePreprocessedRequest(request))).guided).toEqual(guided);
	});

	it("may bring its schema as JSON", () => {
		const data = { token_ids: [1], sampling_options: { guided_decoding: { json: { type: "object" } } } };
		expect(decodePreprocessedRequest(data).guided).toEqual({
			kind: "json_schema",
			schema: '{"type":"object"}',
		});
	});

	it("does not stop at the model's own ends when these are to be ignored", () => {
		const data = {
			token_ids: [1],
			eos_token_ids: [2],
			stop_conditions: { stop_token_ids_hidden: [2, 5], ignore_eos: true },
		};
		expect(decodePreprocessedRequest(data).stop).toMatchObject({ stopTokenIds: [5], ignoreEos: true });
	});

	it.each([
		[{}, "request.token_ids is missing"],
		[{ token_ids: "a" }, "request.token_ids must be an array of token ids"],
		[{ token_ids: [-1] }, "request.token_ids"],
		[{ token_ids: [2 ** 32] }, "request.token_ids"],
		[
			{ token_ids: [1], stop_conditions: { max_tokens: "4" } },
			"request.stop_conditions.max_tokens must be a number",
		],
		[{ token_ids: [1], sampling_options: [] }, "request.sampling_options must be an object"],
		[null, "request must be an object"],
		[
			{ token_ids: [1], sampling_options: { guided_decoding: { regex: "a", choice: ["b"] } } },
			"request.sampling_options.guided_decoding has several constraints (regex, choice)",
		],
		[
			{ token_ids: [1], sampling_options: { guided_decoding: { regex: "a", backend: "x" } } },
			"guided_decoding.backend cannot be chosen",
		],
		[
			{ token_ids: [1], multi_modal_data: { image_url: [{ Decoded: {} }] } },
			"request.multi_modal_data.image_url[0] is no URL",
		],
		[{ token_ids: [1], prompt_embeds: "AA==" }, "request.prompt_embeds is not supported"],
		[
			{ token_ids: [1], stop_conditions: { max_thinking_tokens: 5 } },
			"request.stop_conditions.max_thinking_tokens is not supported",
		],
		[
			{ token_ids: [1], multi_modal_data: { smell: [] } },
			"request.multi_modal_data.smell is no kind of media",
		],
	])("%j is refused by the field's name", (data, message) => {
		expect(() => decodePreprocessedRequest(data)).toThrow(message);
	});
});

describe("a KV session", () => {
	it("arrives unchanged, numbers of every kind included", () => {
		const sent = stringifyJson(encodeKvSession(session));
		const relayed = decodeKvSession(parseJson(sent));
		expect(stringifyJson(encodeKvSession(relayed))).toBe(sent);
		expect(relayed).toEqual(session);
	});

	it("keeps its null attributes where null fields are left out", () => {
		const attributes = { a: null, b: { c: null, d: [null, { e: null }] } };
		const sent = encodeMsgpack(encodeKvSession({ ...session, attributes }), { omitNull: true });
		expect(decodeKvSession(decodeMsgpack(sent)).attributes).toEqual(attributes);
		expect(Object.keys(encodeKvSession({ ...session, attributes: { a: 1 } }))).not.toContain(
			"exact_attributes",
		);
	});

	it.each([
		[{ session_id: undefined }, "disaggregated_params.session_id is missing"],
		[{ endpoints: undefined }, "disaggregated_params.endpoints is missing"],
		[
			{ endpoints: [{ host: "h", port: 70000, protocol: "p" }] },
			"endpoints[0].port must be an integer 0..65535",
		],
		[{ endpoints: [{ host: "h", protocol: "p" }] }, "endpoints[0].port is missing"],
		[{ dp_rank: -1 }, "disaggregated_params.dp_rank must be an integer"],
		[{ attributes: [] }, "disaggregated_params.attributes must be an object"],
		[
			{ attributes: { a: [2n ** 60n + 1n] } },
			"attributes.a[0] is 1152921504606846977, which would lose digits",
		],
		[{ attributes: { a: Number.POSITIVE_INFINITY } }, "attributes.a is Infinity"],
		[{ attributes: nested(70) }, "is nested deeper than 64 levels"],
	] as [object, string][])("is refused with $1", (change, message) => {
		expect(() => decodeKvSession({ ...encodeKvSession(session), ...change })).toThrow(message);
	});
});

function nested(depth: number): Record<string, JsonValue> {
	return depth === 0 ? {} : { a: nested(depth - 1) };
}

describe("an output", () => {
	it("arrives as it was sent", () => {
		const output = {
			index: 1,
			tokenIds: [5, 6],
			logprobs: [
				{ tokenId: 5, logprob: -0.5, top: [{ tokenId: 5, logprob: -0.5 }] },
				{ tokenId: 6, logprob: -1.5, top: [{ tokenId: 9, logprob: -1 }] },
			],
			finishReason: "stop" as const,
			stopTokenId: 8,
			usage: { promptTokens: 3, completionTokens: 2, cachedTokens: 1 },
			promptLogprobs: [null, { tokenId: 4, logprob: -2, top: [{ tokenId: 7, logprob: -1 }] }],
			kvSession: { ...session, attributes: {} },
		};
		expect(decodeLlmEngineOutput(overWire(encodeLlmEngineOutput(output)))).toEqual(output);
	});

	it("of a stock worker is understood: least fields, usage along the way, other reasons", () => {
		expect(decodeLlmEngineOutput({ token_ids: [42] })).toEqual({
			index: 0,
			tokenIds: [42],
			logprobs: null,
			finishReason: null,
			stopTokenId: null,
			usage: null,
		});
		expect(decodeLlmEngineOutput({ token_ids: [], completion_usage: { prompt_tokens: 3 } }).usage).toBeNull();
		expect(decodeLlmEngineOutput({ token_ids: [], finish_reason: "abort" }).finishReason).toBe("cancelled");
		expect(() => decodeLlmEngineOutput({ token_ids: [], finish_reason: { error: "OOM" } })).toThrow("OOM");
	});
});

describe("a model card", () => {
	const file = { path: "/m/x.json", checksum: `blake3:${"0".repeat(64)}`, sizeBytes: 3 };
	const card: ModelCard = {
		name: "Org/Model 1",
		source: "org/model",
		tokenizerPath: "/m",
		files: {
			config: file,
			tokenizer: file,
			tokenizerConfig: file,
			generationConfig: file,
			chatTemplate: file,
		},
		chatTemplatePath: null,
		endpointTypes: ["chat", "completions"],
		contextLength: 100,
		kvBlockSize: 32,
		totalKvBlocks: 10,
		maxNumSeqs: 4,
		maxNumBatchedTokens: 64,
		dpSize: 2,
		eosTokenIds: [2],
		logitsProcessors: ["p"],
		logprobs: false,
		maxChoices: 8,
		localPrefill: true,
		workerType: "aggregated",
		needs: [["decode"]],
		createdSeconds: 7,
	};

	it("arrives as it was sent", () => {
		expect(decodeModelCard(overWire(encodeModelCard(card)))).toEqual(card);
		expect(decodeModelCard(encodeModelCard({ ...card, files: null })).files).toBeNull();
		expect(slugOf(card.name)).toBe("org_model_1");
		const adapter = { ...card, lora: "polite" };
		expect(decodeModelCard(overWire(encodeModelCard(adapter)))).toEqual(adapter);
		for (const [endpointTypes, types] of [
			[["chat", "embeddings"], "Chat"],
			[["embeddings"], "Embedding"],
		] as const) {
			const wire = encodeModelCard({ ...card, endpointTypes });
			expect(wire["model_type"]).toBe(types);
			expect(decodeModelCard(overWire(wire)).endpointTypes).toEqual(endpointTypes);
		}
	});

	it("of a stock worker is understood", () => {
		const text = readFileSync(new URL("__fixtures__/stock-1.6.1-model.json", import.meta.url), "utf8");
		const record = parseJson(text) as { card_json: unknown; instance_id: unknown };
		expect(record.instance_id).toBe(11088250433527336985n);
		expect(decodeModelCard(record.card_json)).toMatchObject({
			name: "tiny",
			source: "<MODEL_DIR>",
			tokenizerPath: null,
			endpointTypes: ["chat", "completions"],
			contextLength: 8192,
			kvBlockSize: 64,
			totalKvBlocks: 16384,
			maxChoices: 1,
			localPrefill: false,
			workerType: "aggregated",
			files: { tokenizer: { sizeBytes: 1759666 }, chatTemplate: null, generationConfig: { sizeBytes: 38 } },
		});
	});

	it("has every field that Dynamo's own has, in its spelling", () => {
		const text = readFileSync(new URL("__fixtures__/stock-1.6.1-model.json", import.meta.url), "utf8");
		const stock = (parseJson(text) as { card_json: Record<string, unknown> }).card_json;
		const own = encodeModelCard(card);
		expect(own).toMatchObject({ display_name: card.name, source_path: card.source });
		const optional = ["media_decoder", "media_fetcher"];
		expect(Object.keys(stock).filter((field) => !(field in own) && !optional.includes(field))).toEqual([]);
		for (const field of ["model_type", "model_input", "worker_type"]) expect(own[field]).toBe(stock[field]);
	});
});

describe("an error", () => {
	it.each(Object.keys(ERROR_CODES) as ErrorCode[])("%s arrives with its code and details", (code) => {
		const sent = new DynError(code, "what happened", { details: { param: "x" } });
		expect(decodeDynamoError(overWire(encodeDynamoError(sent)))).toMatchObject({
			code,
			rawMessage: "what happened",
			details: { param: "x" },
		});
	});

	it.each<[object, ErrorCode]>([
		[{ class: "InvalidRequest", reason: "request.invalid_argument", message: "m" }, "INVALID_ARGUMENT"],
		[{ class: "Unavailable", reason: "backend.stream_incomplete", message: "m" }, "DISCONNECTED"],
		[{ class: "Unavailable", reason: "backend.engine_shutdown", message: "m" }, "DRAINING"],
		[{ class: "CapacityExhausted", reason: "capacity.exhausted", message: "m" }, "OVERLOADED"],
		[{ class: "Unavailable", reason: "something.new", message: "m" }, "UNAVAILABLE"],
		[{ error_type: "InvalidArgument", message: "m" }, "INVALID_ARGUMENT"],
		[{ error_type: "Unknown", message: "m" }, "INTERNAL"],
	])("of a stock worker is understood: %j", (error, code) => {
		expect(decodeDynamoError(error).code).toBe(code);
	});

	it("that cannot be read is an error all the same", () => {
		expect(decodeDynamoError(7).code).toBe("INTERNAL");
		expect(decodeDynamoError({ dyn: { code: "toString" }, message: "m" }).code).toBe("INTERNAL");
	});
});
