// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { EmbedOutput, EmbedRequest } from "../embed-request.js";
import { createGenerateRequest } from "../generate-request.js";
import { decodeMsgpack, encodeMsgpack } from "../msgpack/index.js";
import { generateCodec } from "./index.js";

const overWire = (value: unknown): unknown => decodeMsgpack(encodeMsgpack(value));
const request: EmbedRequest = { model: "m", inputs: [[1, 2], [3]], dimensions: 8, dpRank: 1 };

describe("an endpoint's codec", () => {
	it("carries requests for embeddings and their answers, beside those for tokens", () => {
		const data = overWire(generateCodec.encodeRequest(request));
		expect(data).toMatchObject({ token_ids: [[1, 2], [3]], model: "m", dimensions: 8 });
		expect(generateCodec.decodeRequest(data)).toEqual(request);
		const tokens = createGenerateRequest({ tokenIds: [1, 2] });
		expect(generateCodec.decodeRequest(overWire(generateCodec.encodeRequest(tokens)))).toEqual(tokens);

		const output: EmbedOutput = {
			embeddings: [Float32Array.of(0.6, 0.8), Float32Array.of(1, 0)],
			promptTokens: 3,
		};
		const item = overWire(generateCodec.encodeItem(output));
		expect(item).toMatchObject({ prompt_tokens: 3, total_tokens: 3 });
		expect(generateCodec.decodeItem(item)).toEqual(output);
	});

	it("takes what a frontend of Dynamo sends", () => {
		const data = { token_ids: [[5]], model: "m", encoding_format: "float", mdc_sum: "x", annotations: [] };
		expect(generateCodec.decodeRequest(data)).toEqual({
			model: "m",
			inputs: [[5]],
			dimensions: null,
			dpRank: null,
		});
	});

	it.each([{ token_ids: [[1], 2] }, { token_ids: [[-1]] }, { token_ids: [[1]], dimensions: "8" }])(
		"refuses %j",
		(data) => {
			expect(() => generateCodec.decodeRequest(data)).toThrow(/request\.(token_ids|dimensions) must be/);
		},
	);

	it("refuses answers that are none", () => {
		expect(() => generateCodec.decodeItem({ embeddings: [["a"]] })).toThrow(/answer\.embeddings/);
	});
});
