// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { DynError } from "@dyn/common";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import * as smg from "./index.js";

const other = new protobuf.Root();
other.loadSync(join(import.meta.dirname, "__fixtures__/trtllm_service.proto"));

const tokenLogprob = {
	tokenId: 7,
	logprob: -0.5,
	topLogprobs: [
		{ tokenId: 7, logprob: -0.5 },
		{ tokenId: 300, logprob: -2 },
	],
};
const request: smg.MessageInit<smg.SmgGenerateRequest> = {
	requestId: "r-1",
	tokenized: { inputTokenIds: [1, 127, 128, 4_294_967_295] },
	samplingConfig: {
		beamWidth: 1,
		numReturnSequences: 2,
		topK: 0,
		topP: 0.5,
		seed: 2n ** 64n - 1n,
		temperature: 0,
		earlyStopping: -1,
		beamWidthArray: [1, 2],
	},
	outputConfig: { logprobs: 0, excludeInputFromOutput: true },
	maxTokens: 16,
	streaming: true,
	guidedDecoding: { guideType: smg.SmgGuideType.REGEX, guide: "ä+" },
	embeddingBias: [0, -1.5, 100],
	loraConfig: { taskId: -3n, configJson: "{}" },
	multimodalInput: { imageData: [Uint8Array.of(1, 2), new Uint8Array(0)] },
	cacheSaltId: -1n,
	arrivalTime: 1.25,
	stop: ["a", ""],
	stopTokenIds: [2],
	ignoreEos: true,
	badTokenIds: [0, 300],
	includeStopTokenInOutput: true,
};

/** Per message a value with every field that SMG's sheet numbers, and the bytes that it must become. */
const GOLDEN: readonly [name: string, codec: smg.MessageCodec<never>, value: object, hex: string][] = (
	[
		[
			"TokenizedInput",
			smg.SmgTokenizedInput,
			{ originalText: "x", inputTokenIds: [1, 300], queryTokenIds: [5] },
			"0a01781203 01ac02 1a0105",
		],
		[
			"SamplingConfig",
			smg.SmgSamplingConfig,
			{ beamWidth: 2, topK: 0, topP: 1, seed: 5n, lengthPenalty: 2, minP: 0 },
			"0802 1800 250000803f 4005 850100000040 9d0100000000",
		],
		[
			"OutputConfig",
			smg.SmgOutputConfig,
			{ logprobs: 0, promptLogprobs: 1, returnPerfMetrics: true },
			"0800 1001 3801",
		],
		["GuidedDecodingParams", smg.SmgGuidedDecodingParams, { guideType: 5, guide: "{}" }, "0805 12027b7d"],
		[
			"LoraConfig",
			smg.SmgLoraConfig,
			{ taskId: 2n ** 62n, weights: Uint8Array.of(), configJson: "c" },
			"08808080808080808040 1200 1a0163",
		],
		[
			"MultimodalInput",
			smg.SmgMultimodalInput,
			{ imageData: [Uint8Array.of(255), Uint8Array.of()] },
			"0a01ff 0a00",
		],
		[
			"ContextPhaseParams",
			smg.SmgContextPhaseParams,
			{ firstGenTokenId: 9, kvCacheBlocks: Uint8Array.of(1) },
			"0809 120101",
		],
		[
			"DisaggregatedParams",
			smg.SmgDisaggregatedParams,
			{ requestType: 1, ctxRequestId: "9", contextPhaseParams: {} },
			"0801 120139 1a00",
		],
		[
			"GenerateRequest",
			smg.SmgGenerateRequest,
			{
				requestId: "r",
				tokenized: { inputTokenIds: [1] },
				maxTokens: 1,
				streaming: true,
				stopTokenIds: [2],
				includeStopTokenInOutput: true,
			},
			"0a0172 12031201 01 2801 3001 b2010102 d00101",
		],
		["TopLogprob", smg.SmgTopLogprob, { tokenId: 1, logprob: -1 }, "0801 15000080bf"],
		[
			"TokenLogprob",
			smg.SmgTokenLogprob,
			{ tokenId: 1, logprob: -1, topLogprobs: [{ tokenId: 1, logprob: -1 }] },
			"0801 15000080bf 1a070801 15000080bf",
		],
		[
			"GenerateChunk",
			smg.SmgGenerateChunk,
			{
				tokenIds: [3, 4],
				sequenceIndex: 1,
				promptTokens: 5,
				completionTokens: 2,
				cachedTokens: 4,
				logprobs: [{ tokenId: 3 }],
			},
			"0a020304 1001 1805 2002 2804 32020803",
		],
		[
			"GenerateComplete",
			smg.SmgGenerateComplete,
			{ outputTokenIds: [3], finishReason: "stop", matchedTokenId: 0 },
			"0a0103 1a0473746f70 6800",
		],
		["GenerateResponse", smg.SmgGenerateResponse, { requestId: "r", complete: {} }, "0a0172 1a00"],
		["Empty", smg.SmgEmpty, {}, ""],
		["HealthCheckResponse", smg.SmgHealthCheckResponse, { status: "OK" }, "0a024f4b"],
		["AbortRequest", smg.SmgAbortRequest, { requestId: "r" }, "0a0172"],
		["AbortResponse", smg.SmgAbortResponse, { success: true, message: "m" }, "0801 12016d"],
		[
			"ModelInfo",
			smg.SmgModelInfo,
			{
				modelId: "m",
				maxInputLen: 1,
				maxSeqLen: 2,
				maxBatchSize: 3,
				vocabSize: 4,
				hiddenSize: 5,
				numLayers: 6,
				numHeads: 7,
				features: ["f"],
			},
			"0a016d 1001 1802 2003 2804 3005 3806 4007 4a0166",
		],
		[
			"ServerInfo",
			smg.SmgServerInfo,
			{
				version: "v",
				backend: "b",
				tensorParallelSize: 1,
				pipelineParallelSize: 2,
				contextParallelSize: 3,
				worldSize: 6,
			},
			"0a0176 120162 1801 2002 2803 3006",
		],
	] as const
).map((row) => row as never);

const plainObject = (type: protobuf.Type, bytes: Uint8Array) =>
	type.toObject(type.decode(bytes), { longs: String, bytes: Array, enums: Number });
const withoutBigints = (value: unknown): unknown =>
	JSON.parse(
		JSON.stringify(value, (_, each) =>
			typeof each === "bigint" ? String(each) : each instanceof Uint8Array ? Array.from(each) : each,
		),
	);

describe("SMG's messages", () => {
	it.each(GOLDEN)(
		"%s has these bytes, and protobufjs reads and writes the same",
		(name, codec, value, hex) => {
			const encoded = codec.encode(value as never);
			expect(encoded.toString("hex")).toBe(hex.replaceAll(" ", ""));
			const type = other.lookupType(`trtllm.${name}`);
			expect(plainObject(type, encoded)).toEqual(withoutBigints(value));
			expect(codec.decode(type.encode(type.decode(encoded)).finish() as Buffer)).toMatchObject(value);
		},
	);

	it("carries every field of a request, as protobufjs does", () => {
		const encoded = smg.SmgGenerateRequest.encode(request);
		const type = other.lookupType("trtllm.GenerateRequest");
		expect(plainObject(type, encoded)).toEqual(withoutBigints(request));
		expect(Buffer.from(type.encode(type.decode(encoded)).finish()).toString("hex")).toBe(
			encoded.toString("hex"),
		);
		expect(smg.SmgGenerateRequest.decode(encoded)).toMatchObject(request);
	});

	it("has a row for each message and a field for each number of the other description", () => {
		const types = other.lookup("trtllm") as protobuf.Namespace;
		const names = types.nestedArray.filter((thing) => thing instanceof protobuf.Type).map(({ name }) => name);
		expect(GOLDEN.map(([name]) => name).sort()).toEqual(names.sort());
	});

	it("tells what is absent from zero", () => {
		expect("topK" in smg.SmgSamplingConfig.decode(Buffer.alloc(0))).toBe(false);
		expect(smg.SmgSamplingConfig.decode(Buffer.from([0x18, 0]))).toMatchObject({
			topK: 0,
			beamWidth: 0,
			beamWidthArray: [],
		});
	});

	it("keeps the last of a oneof, reads unpacked lists, and skips what it does not know", () => {
		const both = Buffer.concat([
			smg.SmgGenerateResponse.encode({ chunk: { tokenIds: [1] } }),
			smg.SmgGenerateResponse.encode({ complete: { finishReason: "stop" } }),
		]);
		const read = smg.SmgGenerateResponse.decode(both);
		expect(read.chunk).toBeUndefined();
		expect(read.complete?.finishReason).toBe("stop");
		expect(
			smg.SmgGenerateChunk.decode(
				Buffer.from(
					"0803 0804 fa01021234 f50101020304 f1010102030405060708 f80105".replaceAll(" ", ""),
					"hex",
				),
			).tokenIds,
		).toEqual([3, 4]);
		// A known number with another type is an unknown field.
		expect(smg.SmgHealthCheckResponse.decode(Buffer.from([0x08, 5])).status).toBe("");
	});

	it("refuses bytes that are no message, and values that do not fit, by name", () => {
		const whole = smg.SmgGenerateResponse.encode({
			requestId: "abc",
			chunk: { tokenIds: [1, 2], logprobs: [tokenLogprob] },
		});
		let failed = 0;
		for (let length = 1; length < whole.length; length++)
			try {
				smg.SmgGenerateResponse.decode(whole.subarray(0, length));
			} catch (error) {
				expect(DynError.is(error, "INTERNAL")).toBe(true);
				failed++;
			}
		expect(failed).toBe(whole.length - 2); // all but the cut between the two fields
		for (const garbage of ["0a02fffe", "0b", "ffffffffffffffffffffff01"])
			expect(() => smg.SmgGenerateResponse.decode(Buffer.from(garbage, "hex"))).toThrow(
				"malformed protobuf message",
			);
		for (const wrong of [
			{ maxTokens: -1 },
			{ maxTokens: 1.5 },
			{ stopTokenIds: [2 ** 32] },
			{ cacheSaltId: 2n ** 63n },
		])
			expect(() => smg.SmgGenerateRequest.encode(wrong)).toThrow("[INVALID_ARGUMENT]");
	});

	it("names the service's methods", () => {
		expect(Object.values(smg.SMG_SERVICE).map(({ path }) => path)).toEqual(
			["Generate", "HealthCheck", "Abort", "GetModelInfo", "GetServerInfo"].map(
				(name) => `/trtllm.TrtllmService/${name}`,
			),
		);
	});
});
