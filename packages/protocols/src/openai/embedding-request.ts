// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import { isObject, ObjectReader } from "./object-reader.js";

/** A checked `/v1/embeddings` request. */
export interface EmbeddingRequest {
	readonly model: string;
	/** Texts or token ids, one embedding each. */
	readonly inputs: readonly (string | readonly number[])[];
	/** How the vectors are written: numbers, or little-endian f32 as base64. */
	readonly encodingFormat: "float" | "base64";
	/** Leading values to keep; null: all. */
	readonly dimensions: number | null;
}

/** OpenAI's limit. */
const MAX_INPUTS = 2048;
const FORMATS = ["float", "base64"] as const;

/** @throws DynError INVALID_ARGUMENT or UNIMPLEMENTED with `details.param` */
export function readEmbeddingRequest(body: unknown): EmbeddingRequest {
	if (!isObject(body)) throw new DynError("INVALID_ARGUMENT", "the body must be a JSON object");
	const reader = new ObjectReader(body);
	const model = reader.string("model");
	if (model === null) throw invalidArgument("model", "model is missing: name one of GET /v1/models");
	if (model === "") throw invalidArgument("model", "Model cannot be empty");
	if (reader.string("user") === "") throw invalidArgument("user", "User ID cannot be empty");
	const inputs = readInputs(reader);
	const format = reader.string("encoding_format") ?? "float";
	const encodingFormat = FORMATS.find((each) => each === format);
	if (!encodingFormat)
		throw invalidArgument(
			"encoding_format",
			`encoding_format must be one of ${FORMATS.join(", ")}, got ${JSON.stringify(format.slice(0, 40))}`,
		);
	const dimensions = reader.integer(
		"dimensions",
		1,
		Number.MAX_SAFE_INTEGER,
		(value) => `dimensions must be greater than 0, got ${value}`,
	);
	reader.notServed("input_type");
	reader.notServed("nvext");
	reader.finish();
	return { model, inputs, encodingFormat, dimensions };
}

function readInputs(reader: ObjectReader): (string | readonly number[])[] {
	const input = reader.raw("input");
	const wanted = "a string, an array of strings, token ids or arrays of token ids";
	if (input === null) throw invalidArgument("input", `input is missing: it must be ${wanted}`);
	if (typeof input === "string") return [readInput(input)];
	if (!Array.isArray(input)) throw reader.wrongType("input", wanted, input);
	if (input.length === 0) throw invalidArgument("input", "input cannot be empty");
	if (typeof input[0] === "number") return [readInput(input)];
	if (input.length > MAX_INPUTS)
		throw invalidArgument("input", `input may hold at most ${MAX_INPUTS} inputs, got ${input.length}`);
	return input.map(readInput);
}

function readInput(input: unknown): string | readonly number[] {
	if (input === "" || (Array.isArray(input) && input.length === 0))
		throw invalidArgument("input", "input cannot be an empty string or an empty array");
	if (typeof input === "string") return input;
	if (Array.isArray(input) && input.every((id) => Number.isSafeInteger(id) && id >= 0)) return input;
	throw invalidArgument("input", "each input must be a string or an array of token ids");
}
