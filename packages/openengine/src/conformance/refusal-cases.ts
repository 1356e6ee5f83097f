// SPDX-License-Identifier: Apache-2.0

import type * as m from "../generated/messages.js";
import { GuidedDecodingMode } from "../generated/messages.js";
import { GrpcStatus } from "../grpc/status.js";
import type { MessageInit } from "../message-init.js";
import { check, checkFails, checkRefused, collect, requestOf, type WireConformanceCase } from "./subject.js";

const { INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, UNIMPLEMENTED, FAILED_PRECONDITION } = GrpcStatus;
const GUIDES: readonly (readonly [m.GuidedDecodingMode, MessageInit<m.GuidedDecoding>])[] = [
	[GuidedDecodingMode.JSON_SCHEMA, { jsonSchema: "{}" }],
	[GuidedDecodingMode.REGEX, { regex: "a" }],
	[GuidedDecodingMode.EBNF_GRAMMAR, { ebnfGrammar: 'root ::= "a"' }],
	[GuidedDecodingMode.STRUCTURAL_TAG, { structuralTag: "{}" }],
	[GuidedDecodingMode.CHOICE, { choice: { choices: ["a"] } }],
	[GuidedDecodingMode.JSON_OBJECT, { jsonObject: {} }],
];

/** What must be refused before acceptance: with a status, and no response. */
export const refusalCases: readonly WireConformanceCase[] = [
	{
		name: "refuses a request without id, model or input",
		async run(subject) {
			await checkRefused(subject, requestOf(subject, { requestId: "" }), [INVALID_ARGUMENT]);
			await checkRefused(subject, requestOf(subject, { model: "" }), [INVALID_ARGUMENT]);
			await checkRefused(subject, requestOf(subject, { tokenIds: undefined }), [INVALID_ARGUMENT]);
			await checkRefused(subject, requestOf(subject, { tokenIds: { ids: [] } }), [INVALID_ARGUMENT]);
			return undefined;
		},
	},
	{
		name: "refuses an unknown model",
		async run(subject) {
			const model = "no-such-model-a1b2";
			await checkRefused(subject, requestOf(subject, { model }), [NOT_FOUND]);
			await checkFails(subject.client.getModelInfo({ model }), [NOT_FOUND]);
			await checkFails(subject.client.getModelInfo({}), [INVALID_ARGUMENT]);
			return undefined;
		},
	},
	{
		name: "refuses num_sequences 0 and more than it has",
		async run(subject) {
			await checkRefused(subject, requestOf(subject, { sampling: { numSequences: 0 } }), [INVALID_ARGUMENT]);
			const most = subject.modelInfo.generation?.maxNumSequences;
			if (most !== undefined)
				await checkRefused(
					subject,
					requestOf(subject, { sampling: { numSequences: most + 1, temperature: 1 } }),
					[INVALID_ARGUMENT, UNIMPLEMENTED],
				);
			return undefined;
		},
	},
	{
		name: "refuses a prompt that fills the context",
		async run(subject) {
			const length = subject.modelInfo.maxContextLength;
			if (length === undefined) return "max_context_length is not set";
			const ids = Array.from({ length: length + 1 }, (_, i) => 10 + (i % 80));
			await checkRefused(subject, requestOf(subject, { tokenIds: { ids } }), [
				INVALID_ARGUMENT,
				GrpcStatus.OUT_OF_RANGE,
			]);
			return undefined;
		},
	},
	{
		name: "refuses an id that is running, and lets that one go on",
		roles: ["aggregated"],
		async run(subject) {
			const request = requestOf(subject, { stopping: { maxTokens: 64 } });
			const running = subject.client.generate(request);
			await running.next();
			await checkRefused(subject, request, [ALREADY_EXISTS]);
			let last: m.GenerateResponse | undefined;
			for await (const response of running) last = response;
			check(last?.finished !== undefined, "the first request did not finish");
			await collect(subject, request);
			return undefined;
		},
	},
	{
		name: "refuses malformed and repeated metadata",
		async run(subject) {
			const bad: readonly (readonly [string, string | readonly string[]])[] = [
				["openengine-target-dp-rank", "first"],
				["openengine-target-dp-rank", "-1"],
				["openengine-target-dp-rank", ["0", "0"]],
				["openengine-priority", "1.5"],
				["openengine-priority", ["1", "2"]],
				["openengine-routing-key", ["a", "b"]],
			];
			for (const [key, value] of bad) {
				// An engine that has no such thing may say that first, except of a key that everybody has.
				const unsupported = Array.isArray(value) ? [] : [UNIMPLEMENTED];
				await checkRefused(subject, requestOf(subject), [INVALID_ARGUMENT, ...unsupported], {
					metadata: { [key]: value },
				});
			}
			return undefined;
		},
	},
	{
		name: "refuses a priority that it does not have",
		async run(subject) {
			if (subject.modelInfo.generation?.supportsPriority) return "supports_priority is set";
			await checkRefused(subject, requestOf(subject), [UNIMPLEMENTED, INVALID_ARGUMENT], { priority: 3 });
			return undefined;
		},
	},
	{
		name: "refuses guides that it does not announce",
		async run(subject) {
			const guidedDecoding = subject.modelInfo.generation?.guidedDecoding;
			for (const [mode, guided] of GUIDES) {
				if (guidedDecoding?.supported && guidedDecoding.modes.includes(mode)) continue;
				await checkRefused(subject, requestOf(subject, { guided }), [UNIMPLEMENTED, INVALID_ARGUMENT]);
			}
			await checkRefused(subject, requestOf(subject, { guided: {} }), [INVALID_ARGUMENT, UNIMPLEMENTED]);
			return undefined;
		},
	},
	{
		name: "refuses adapters, media and cache controls that it does not have",
		async run(subject) {
			const { supportsLora, supportsMultimodal, generation } = subject.modelInfo;
			const refused: MessageInit<m.GenerateRequest>[] = [
				...(supportsLora ? [] : [{ loraName: "no-such-adapter" }]),
				...(supportsMultimodal
					? []
					: [{ media: [{ modality: 1, url: "http://localhost/no.png" } as const] }]),
				...(generation?.supportsCacheSalt ? [] : [{ kv: { cacheSalt: "salt" } }]),
				...(generation?.supportsPrefixCacheBypass ? [] : [{ kv: { bypassPrefixCache: true } }]),
			];
			for (const init of refused)
				await checkRefused(subject, requestOf(subject, init), [
					UNIMPLEMENTED,
					INVALID_ARGUMENT,
					NOT_FOUND,
					FAILED_PRECONDITION,
				]);
			return refused.length === 0 ? "it has all of them" : undefined;
		},
	},
];
