// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { cancellationError, createRequestContext, DynError, type Span, traceFields } from "@dyn/common";
import { type EmbeddingRequest, parseJsonBody, readEmbeddingRequest } from "@dyn/protocols/openai";
import type { FrontendMetrics } from "../frontend-metrics.js";
import { abortedByClient } from "../http/client-gone.js";
import { metricLabel } from "../http/error-body.js";
import { readBody } from "../http/read-body.js";
import type { ModelDirectory, ServableModel } from "../models/model-directory.js";
import type { ResolvedFrontendOptions } from "../options.js";
import { checkTextLength } from "../pipeline/context-check.js";
import { embedWithWorkers } from "./embed-with-workers.js";

/**
 * Serves one request of `POST /v1/embeddings` to its end. Throws what has to become an error status; the caller answers
 * that.
 */
export async function serveEmbeddings(
	{
		models,
		metrics,
		options,
	}: {
		readonly models: ModelDirectory;
		readonly metrics: FrontendMetrics;
		readonly options: ResolvedFrontendOptions;
	},
	requestId: string,
	span: Span,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	const gone = abortedByClient(response);
	const parsed = readEmbeddingRequest(parseJsonBody(await readBody(request, options.limits.bodyBytes)));
	const model = models.get(parsed.model);
	if (!model.card.endpointTypes.includes("embeddings")) {
		throw new DynError(
			"MODEL_NOT_FOUND",
			`${model.card.name} does not serve embeddings, only ${model.card.endpointTypes.join(", ")}`,
			{ details: { param: "model" } },
		);
	}
	const labels = { model: model.card.name, endpoint: "embeddings", request_type: "unary" as const };
	const meter = metrics.begin(labels);
	span.set(labels);
	let promptTokens = 0;
	let failure: unknown = null;
	try {
		const began = performance.now();
		const inputs = await metrics.stages.within("preprocess", () => tokenize(model, parsed.inputs));
		metrics.tokenized(performance.now() - began);
		const context = createRequestContext({
			id: requestId,
			signal: gone.signal,
			logger: options.logger.child({ request: requestId, ...traceFields(span.trace) }),
			...(span.trace ? { trace: span.trace } : {}),
		});
		const { dimensions } = parsed;
		const retries = options.migration.limit;
		const output = await embedWithWorkers({ model, inputs, dimensions, retries }, context);
		promptTokens = output.promptTokens;
		const body = answer(parsed, output.embeddings, promptTokens);
		response
			.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
			.end(body);
	} catch (error) {
		failure = gone.signal.aborted ? cancellationError(gone.signal) : error;
		throw failure;
	} finally {
		meter.end(
			{ promptTokens, completionTokens: 0, cachedTokens: 0 },
			failure === null ? "" : metricLabel(failure),
		);
		span.set({ input_tokens: promptTokens });
	}
}

/** @throws DynError CONTEXT_LENGTH_EXCEEDED or INVALID_ARGUMENT naming `input` */
function tokenize(model: ServableModel, inputs: EmbeddingRequest["inputs"]): Promise<Uint32Array[]> {
	const { tokenizer, card } = model;
	return Promise.all(
		inputs.map(async (input) => {
			if (typeof input === "string") await checkTextLength(model, input, "input");
			// A text is what it says: no part of it is taken for a control token.
			const tokens = typeof input === "string" ? await tokenizer.encode(input) : input;
			if (tokens.length > card.contextLength)
				throw new DynError(
					"CONTEXT_LENGTH_EXCEEDED",
					`This model's maximum context length is ${card.contextLength} tokens. However, an input resulted in ${tokens.length} tokens. Please reduce its length.`,
					{ details: { param: "input" } },
				);
			const unknown = tokens.find((id) => id >= tokenizer.vocabSize);
			if (unknown === undefined) return Uint32Array.from(tokens);
			throw new DynError(
				"INVALID_ARGUMENT",
				`the input has the token id ${unknown}, which ${card.name} does not have`,
				{ details: { param: "input" } },
			);
		}),
	);
}

function answer(
	{ model, encodingFormat }: EmbeddingRequest,
	embeddings: readonly Float32Array[],
	promptTokens: number,
): string {
	return JSON.stringify({
		object: "list",
		data: embeddings.map((vector, index) => ({
			object: "embedding",
			index,
			embedding: encodingFormat === "base64" ? base64(vector) : Array.from(vector),
		})),
		model,
		usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
	});
}

/** Little-endian f32, whatever the machine's order. */
function base64(vector: Float32Array): string {
	const bytes = Buffer.alloc(vector.length * 4);
	for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4);
	return bytes.toString("base64");
}
