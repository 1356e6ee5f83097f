// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { EmbedOutput, EmbedRequest } from "../embed-request.js";
import { isTokenIds, PlainData } from "./plain-data.js";

/** A request as Dynamo's `PreprocessedEmbeddingRequest`: the token ids are lists of lists, by which it is known. */
export function encodeEmbedRequest({
	model,
	inputs,
	dimensions,
	dpRank,
}: EmbedRequest): Record<string, unknown> {
	return {
		model,
		token_ids: inputs.map((input) => (Array.isArray(input) ? input : [...input])),
		encoding_format: null,
		dimensions,
		mdc_sum: null,
		annotations: [],
		...(dpRank === null ? {} : { routing: { dp_rank: dpRank } }),
	};
}

/** Whether what came over a wire is a request for embeddings. One without any input is neither that nor one to generate. */
export function isEmbedData(data: unknown): boolean {
	const ids = typeof data === "object" && data !== null ? (data as { token_ids?: unknown }).token_ids : null;
	return Array.isArray(ids) && Array.isArray(ids[0]);
}

/** @throws DynError INVALID_ARGUMENT naming the field that has a wrong type */
export function decodeEmbedRequest(data: unknown): EmbedRequest {
	const request = new PlainData(data, "request");
	const inputs = request.array("token_ids")!;
	if (!inputs.every(isTokenIds))
		throw new DynError("INVALID_ARGUMENT", "request.token_ids must be an array of arrays of token ids");
	return {
		model: request.string("model") ?? "",
		inputs,
		dimensions: request.number("dimensions"),
		dpRank: request.object("routing").number("dp_rank"),
	};
}

/** An answer as Dynamo's `EmbeddingsEngineOutput`. */
export function encodeEmbedOutput({ embeddings, promptTokens }: EmbedOutput): Record<string, unknown> {
	return {
		embeddings: embeddings.map((vector) => [...vector]),
		prompt_tokens: promptTokens,
		total_tokens: promptTokens,
	};
}

/** @throws DynError INVALID_ARGUMENT naming the field that has a wrong type or is missing */
export function decodeEmbedOutput(data: unknown): EmbedOutput {
	const output = new PlainData(data, "answer");
	const vectors = output.required("embeddings", output.array("embeddings"));
	return {
		embeddings: vectors.map((vector) => {
			if (Array.isArray(vector) && vector.every((value) => typeof value === "number"))
				return Float32Array.from(vector);
			throw new DynError("INVALID_ARGUMENT", "answer.embeddings must be an array of arrays of numbers");
		}),
		promptTokens: output.number("prompt_tokens") ?? 0,
	};
}

export function isEmbedOutput(item: unknown): item is EmbedOutput {
	return typeof item === "object" && item !== null && Object.hasOwn(item, "embeddings");
}
