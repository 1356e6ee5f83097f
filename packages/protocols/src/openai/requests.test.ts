// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { describe, expect, it } from "vitest";
import { parseJsonBody, readChatRequest, readCompletionRequest } from "./index.js";

const chat = (extra: object = {}) =>
	readChatRequest({ model: "m", messages: [{ role: "user", content: "hi" }], ...extra });
const completion = (extra: object = {}) => readCompletionRequest({ model: "m", prompt: "hi", ...extra });

function failure(read: () => unknown): { code: string; param: unknown; message: string } {
	try {
		read();
	} catch (error) {
		if (DynError.is(error))
			return { code: error.code, param: error.details["param"], message: error.rawMessage };
		throw error;
	}
	throw new Error("nothing was refused");
}

describe("chat requests", () => {
	it("read every field", () => {
		const request = chat({
			max_tokens: 5,
			max_completion_tokens: 7,
			temperature: 0.5,
			top_p: 0.9,
			top_k: -1,
			min_p: 0.1,
			n: 2,
			stop: "END",
			stop_token_ids: [3],
			seed: 1,
			presence_penalty: 1,
			frequency_penalty: -1,
			repetition_penalty: 1.5,
			logit_bias: { 5: -100 },
			bad_words: ["no", [4]],
			bad_words_token_ids: [[5, 6]],
			logprobs: true,
			top_logprobs: 3,
			stream: true,
			stream_options: { include_usage: true },
			user: "u",
			min_tokens: 1,
			ignore_eos: true,
			chat_template_kwargs: { thinking: false },
			cache_salt: "tenant",
			nvext: {
				logits_processors: [{ name: "p", args: { x: 1 } }],
				agent_hints: { priority: 4 },
				greed_sampling: false,
			},
			tools: [],
			tool_choice: "none",
			response_format: { type: "text" },
		});
		expect(request).toMatchObject({
			maxTokens: 7,
			temperature: 0.5,
			topP: 0.9,
			topK: -1,
			minP: 0.1,
			n: 2,
			stop: ["END"],
			stopTokenIds: [3],
			seed: 1,
			logprobs: 3,
			stream: true,
			includeUsage: true,
			ignoreEos: true,
			badWords: ["no", [4], [5, 6]],
			templateVariables: { thinking: false },
			cacheSalt: "tenant",
			priority: 4,
			logitsProcessors: [{ name: "p", args: { x: 1 } }],
		});
		expect([...request.logitBias!]).toEqual([[5, -100]]);
	});

	it("take null for absent, join text parts and treat developer as system", () => {
		const request = readChatRequest({
			model: "m",
			temperature: null,
			messages: [
				{
					role: "developer",
					content: [
						{ type: "text", text: "a" },
						{ type: "text", text: "b" },
					],
				},
				{ role: "assistant", content: null },
			],
		});
		expect(request.temperature).toBeNull();
		expect(request.messages).toEqual([
			{ role: "system", content: "ab" },
			{ role: "assistant", content: "" },
		]);
	});

	it.each([
		[{ temperature: 3 }, "temperature", "Temperature must be between 0 and 2, got 3"],
		[{ temperature: "hot" }, "temperature", "temperature must be a number, got a string"],
		[{ top_p: 0 }, "top_p", "Top_p must be between 0 and 1, got 0"],
		[{ top_k: -2 }, "top_k", "Top_k must be null or greater than or equal to -1"],
		[{ n: 0 }, "n", "n must be between 1 and 128, got 0"],
		[{ n: 1.5 }, "n", "n must be an integer, got 1.5"],
		[
			{ n: 2, temperature: 0 },
			"n",
			"When n > 1, temperature must be greater than 0 to ensure diverse outputs. Got n=2, temperature=0",
		],
		[{ max_tokens: 0 }, "max_tokens", "Max tokens must be greater than 0, got 0"],
		[{ stop: new Array(33).fill("x") }, "stop", "Maximum of 32 stop sequences allowed, got 33"],
		[{ stop: [1] }, "stop", "stop must be a string or an array of strings, got an array"],
		[
			{ logit_bias: { 5: 101 } },
			"logit_bias",
			"Logit bias for token '5' must be between -100 and 100, got 101",
		],
		[{ logit_bias: { __proto__x: 1 } }, "logit_bias", "which is no token id"],
		[{ bad_words: ["a", 5] }, "bad_words", "bad_words must be an array of texts or arrays of token ids"],
		[{ bad_words: [""] }, "bad_words", "bad_words has an empty word"],
		[{ bad_words: new Array(1025).fill("x") }, "bad_words", "may hold at most 1024 words, got 1025"],
		[{ bad_words: ["x".repeat(257)] }, "bad_words", "a word of 257 characters or tokens; the limit is 256"],
		[{ bad_words_token_ids: ["a"] }, "bad_words_token_ids", "must be an array of arrays of token ids"],
		[{ bad_words_token_ids: [[-1]] }, "bad_words_token_ids", "must be an array of arrays of token ids"],
		[{ use_beam_search: true }, "use_beam_search", "Unsupported parameter(s): `use_beam_search`"],
		[{ length_penalty: 2 }, "length_penalty", "Unsupported parameter(s): `length_penalty`"],
		[{ top_logprobs: 21, logprobs: true }, "top_logprobs", "Top_logprobs must be between 0 and 20, got 21"],
		[{ top_logprobs: 2 }, "top_logprobs", "top_logprobs needs logprobs: true"],
		[{ user: "" }, "user", "User ID cannot be empty"],
		[{ stream_options: {} }, "stream_options", "stream_options can only be set when stream is true"],
		[{ temprature: 1 }, "temprature", "Unsupported parameter(s): `temprature`"],
		[{ nvext: { magic: 1 } }, "nvext.magic", "Unsupported parameter(s): `nvext.magic`"],
		[
			{ nvext: { logits_processors: [{}] } },
			"nvext.logits_processors[0].name",
			"must be an object with the name",
		],
		[{ messages: [] }, "messages", "The 'messages' field cannot be empty. At least one message is required."],
		[{ messages: [{ role: "robot", content: "" }] }, "messages[0].role", "messages[0].role must be one of"],
		[
			{ messages: [{ role: "user", content: [{ type: "image_url" }] }] },
			"messages[0].content[0].type",
			'this model takes no "image_url" parts',
		],
		[{ model: "" }, "model", "Model cannot be empty"],
	])("refuse %j, naming the field", (extra, param, message) => {
		const refused = failure(() => chat(extra));
		expect(refused).toMatchObject({ code: "INVALID_ARGUMENT", param });
		expect(refused.message).toContain(message);
	});

	it.each([
		{ tools: [{}] },
		{ functions: [] },
		{ guided_whitespace_pattern: "x" },
		{ reasoning_effort: "low" },
	])("say that %j is not served, instead of ignoring it", (extra) => {
		expect(failure(() => chat(extra))).toMatchObject({ code: "UNIMPLEMENTED", param: Object.keys(extra)[0] });
	});

	const schema = { type: "object", properties: { a: { type: "integer" } } };
	const tag = { type: "structural_tag", format: { type: "any_text" } };
	it.each([
		[{ response_format: { type: "text" } }, null],
		[{ response_format: { type: "json_object" } }, { kind: "json_object" }],
		[
			{ response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema } } },
			{ kind: "json_schema", schema: JSON.stringify(schema) },
		],
		[{ response_format: tag }, { kind: "structural_tag", tag: JSON.stringify(tag) }],
		[{ guided_json: schema }, { kind: "json_schema", schema: JSON.stringify(schema) }],
		[{ guided_json: '{"type":"null"}' }, { kind: "json_schema", schema: '{"type":"null"}' }],
		[{ guided_regex: "a+" }, { kind: "regex", pattern: "a+" }],
		[{ guided_grammar: 'root ::= "a"' }, { kind: "grammar", ebnf: 'root ::= "a"' }],
		[{ guided_choice: ["yes", "no"] }, { kind: "choice", choices: ["yes", "no"] }],
	])("say with %j what an answer must look like", (extra, guided) => {
		expect(chat(extra).guided).toEqual(guided);
	});

	it.each([
		[{ response_format: { type: "poem" } }, "response_format.type"],
		[{ response_format: { type: "json_schema" } }, "response_format.json_schema.schema"],
		[{ response_format: "json" }, "response_format"],
		[{ guided_choice: [] }, "guided_choice"],
		[{ guided_choice: [1] }, "guided_choice"],
		[{ guided_regex: 1 }, "guided_regex"],
		[{ guided_regex: "a", guided_choice: ["a"] }, "guided_choice"],
	])("refuse %j as a description of an answer", (extra, param) => {
		expect(failure(() => chat(extra))).toMatchObject({ code: "INVALID_ARGUMENT", param });
	});

	it("cannot be reached through a prototype", () => {
		const body = JSON.parse(
			'{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":{"temperature":9}}',
		);
		expect(failure(() => readChatRequest(body)).param).toBe("__proto__");
		expect(({} as Record<string, unknown>)["temperature"]).toBeUndefined();
	});

	it.each([null, 1, "x", []])("refuse a body that is %j", (body) => {
		expect(failure(() => readChatRequest(body)).message).toBe("the body must be a JSON object");
	});
});

describe("completion requests", () => {
	it.each([
		["a", ["a"]],
		[
			["a", "b"],
			["a", "b"],
		],
		[[1, 2], [[1, 2]]],
		[
			[[1], [2, 3]],
			[[1], [2, 3]],
		],
	])("take the prompt %j", (prompt, prompts) => {
		expect(completion({ prompt }).prompts).toEqual(prompts);
	});

	it.each([
		[{ prompt: "" }, "prompt"],
		[{ prompt: [] }, "prompt"],
		[{ prompt: [1, "a"] }, "prompt"],
		[{ prompt: [[]] }, "prompt"],
		[{ prompt: [-1] }, "prompt"],
		[{ prompt: { a: 1 } }, "prompt"],
		[{ logprobs: 6 }, "logprobs"],
		[{ prompt: new Array(65).fill("a"), n: 2, temperature: 1 }, "n"],
	])("refuse %j", (extra, param) => {
		expect(failure(() => completion(extra))).toMatchObject({ code: "INVALID_ARGUMENT", param });
	});

	it("take best_of from n on, not streamed, and echo", () => {
		expect(completion({ best_of: 1, echo: false, suffix: "" })).toMatchObject({ bestOf: null, echo: false });
		const several = { n: 2, temperature: 1 };
		expect(completion({ ...several, best_of: 3, echo: true })).toMatchObject({ bestOf: 3, echo: true });
		expect(completion({ ...several, best_of: 2, stream: true })).toMatchObject({ bestOf: null });
		for (const extra of [{ best_of: 1 }, { best_of: 129 }, { best_of: 3, stream: true }, { best_of: "3" }])
			expect(failure(() => completion({ ...several, ...extra }))).toMatchObject({
				code: "INVALID_ARGUMENT",
				param: "best_of",
			});
		expect(failure(() => completion({ echo: 1 })).param).toBe("echo");
	});
});

describe("bodies", () => {
	it("are parsed", () => {
		expect(parseJsonBody('{"a":["\\"[[[["]}')).toEqual({ a: ['"[[[['] });
	});
	it("are refused when they are no JSON or nested too deeply, without using the stack", () => {
		expect(failure(() => parseJsonBody("{oops")).message).toContain("not valid JSON");
		expect(failure(() => parseJsonBody("[".repeat(1_000_000))).message).toContain(
			"nested more than 64 levels",
		);
		expect(parseJsonBody(`${"[".repeat(64)}${"]".repeat(64)}`)).toHaveLength(1);
	});
});
