// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { readEmbeddingRequest } from "./index.js";

const read = (fields: object = {}) => readEmbeddingRequest({ model: "m", input: "hi", ...fields });

it("reads every field", () => {
	expect(read({ encoding_format: "base64", dimensions: 12, user: "u" })).toEqual({
		model: "m",
		inputs: ["hi"],
		encodingFormat: "base64",
		dimensions: 12,
	});
	expect(read()).toMatchObject({ encodingFormat: "float", dimensions: null });
});

it.each([
	["a text", "hi", ["hi"]],
	["texts", ["a", "b"], ["a", "b"]],
	["token ids", [1, 2], [[1, 2]]],
	["lists of token ids", [[1, 2], [3]], [[1, 2], [3]]],
])("takes %s", (_, input, inputs) => {
	expect(read({ input }).inputs).toEqual(inputs);
});

it.each<[object, string]>([
	[{ model: null }, "model"],
	[{ model: "" }, "model"],
	[{ user: "" }, "user"],
	[{ input: null }, "input"],
	[{ input: "" }, "input"],
	[{ input: [] }, "input"],
	[{ input: ["a", ""] }, "input"],
	[{ input: [[]] }, "input"],
	[{ input: [1, -1] }, "input"],
	[{ input: [1, "a"] }, "input"],
	[{ input: [["a"]] }, "input"],
	[{ input: 5 }, "input"],
	[{ input: { text: "a" } }, "input"],
	[{ input: Array(2049).fill("a") }, "input"],
	[{ encoding_format: "hex" }, "encoding_format"],
	[{ dimensions: 0 }, "dimensions"],
	[{ dimensions: 1.5 }, "dimensions"],
	[{ dimensions: "8" }, "dimensions"],
	[{ nvext: {} }, "nvext"],
	[{ temperature: 1 }, "temperature"],
])("refuses %j by name", (fields, param) => {
	expect(() => read(fields)).toThrowError(expect.objectContaining({ details: { param } }));
});
