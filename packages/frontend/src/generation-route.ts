// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from "node:http";
import { cancellationError, createRequestContext, DynError, type Span, traceFields } from "@dyn/common";
import type { EndpointType } from "@dyn/protocols";
import {
	type CommonFields,
	parseJsonBody,
	readChatRequest,
	readCompletionRequest,
} from "@dyn/protocols/openai";
import { encodeChat } from "@dyn/text";
import type { FrontendMetrics, MigrationMetrics } from "./frontend-metrics.js";
import { abortedByClient } from "./http/client-gone.js";
import { metricLabel } from "./http/error-body.js";
import { readBody } from "./http/read-body.js";
import { SseStream } from "./http/sse-stream.js";
import type { Readmission } from "./migration/readmission.js";
import type { ModelDirectory, ServableModel } from "./models/model-directory.js";
import type { AnswerFormat } from "./openai/answer-format.js";
import { chatFormat } from "./openai/chat-format.js";
import { completionFormat } from "./openai/completion-format.js";
import type { ResolvedFrontendOptions } from "./options.js";
import { badWordTokens } from "./pipeline/bad-words.js";
import { checkTextLength } from "./pipeline/context-check.js";
import { deliverStream, deliverWhole } from "./pipeline/deliver.js";
import { Generation } from "./pipeline/generation.js";

/** What tells the two generating endpoints apart. */
export interface GenerationEndpoint {
	/** `endpoint` label of the metrics. */
	readonly name: "chat_completions" | "completions";
	readonly type: EndpointType;
	readonly promptField: "messages" | "prompt";
	read(body: unknown): ParsedRequest;
	format(requestId: string, model: string, created: number): AnswerFormat;
}

interface ParsedRequest {
	readonly fields: CommonFields;
	readonly logprobs: number | null;
	/** Whether answers begin with their prompt. */
	readonly echo: boolean;
	/** Candidates per prompt, of which the best are answered; null: as many as are answered. */
	readonly bestOf: number | null;
	tokenize(model: ServableModel): Promise<Uint32Array[]>;
}

export const chatEndpoint: GenerationEndpoint = {
	name: "chat_completions",
	type: "chat",
	promptField: "messages",
	read(body) {
		const request = readChatRequest(body);
		return {
			fields: request,
			logprobs: request.logprobs,
			echo: false,
			bestOf: null,
			async tokenize(model) {
				const { messages, templateVariables: kwargs } = request;
				await checkTextLength(model, messages.map(({ content }) => content).join(""), "messages");
				return [(await encodeChat(model.tokenizer, model.template, { messages, kwargs })).tokenIds];
			},
		};
	},
	format: chatFormat,
};

export const completionEndpoint: GenerationEndpoint = {
	name: "completions",
	type: "completions",
	promptField: "prompt",
	read(body) {
		const request = readCompletionRequest(body);
		return {
			fields: request,
			logprobs: request.logprobs,
			echo: request.echo,
			bestOf: request.bestOf,
			tokenize: (model) =>
				Promise.all(
					request.prompts.map(async (prompt) => {
						const { tokenizer, card } = model;
						if (typeof prompt === "string") {
							await checkTextLength(model, prompt, "prompt");
							return tokenizer.encode(prompt, { parseSpecial: true });
						}
						const unknown = prompt.find((id) => id >= tokenizer.vocabSize);
						if (unknown === undefined) return Uint32Array.from(prompt);
						throw new DynError(
							"INVALID_ARGUMENT",
							`the prompt has the token id ${unknown}, which ${card.name} does not have`,
							{ details: { param: "prompt" } },
						);
					}),
				),
		};
	},
	format: completionFormat,
};

/**
 * Serves one generating request to its end: body, validation, tokens, dispatch, answer. Throws what has to become an
 * error status; the caller answers that.
 */
export async function serveGeneration(
	endpoint: GenerationEndpoint,
	{
		models,
		metrics,
		readmission,
		options,
	}: {
		readonly models: ModelDirectory;
		readonly metrics: FrontendMetrics;
		readonly readmission: Readmission;
		readonly options: ResolvedFrontendOptions;
	},
	requestId: string,
	span: Span,
	request: IncomingMessage,
	response: ServerResponse,
): Promise<void> {
	const gone = abortedByClient(response);
	const parsed = endpoint.read(parseJsonBody(await readBody(request, options.limits.bodyBytes)));
	const { fields, logprobs, echo, bestOf } = parsed;
	const model = models.get(fields.model);
	if (!model.card.endpointTypes.includes(endpoint.type)) {
		throw new DynError(
			"MODEL_NOT_FOUND",
			`${model.card.name} does not serve ${endpoint.type} requests, only ${model.card.endpointTypes.join(", ")}`,
			{ details: { param: "model" } },
		);
	}
	const labels = {
		model: model.card.name,
		endpoint: endpoint.name,
		request_type: fields.stream ? ("stream" as const) : ("unary" as const),
	};
	const meter = metrics.begin(labels);
	span.set(labels);
	const logger = options.logger.child({ request: requestId, ...traceFields(span.trace) });
	let migrations = 0;
	const migrationMetrics: MigrationMetrics = {
		migrating(name, type) {
			migrations++;
			return metrics.migrating(name, type);
		},
		contextExceeded: (name) => metrics.contextExceeded(name),
	};
	let generation: Generation | null = null;
	let failure: unknown = null;
	try {
		const began = performance.now();
		const [prompts, badWords] = await metrics.stages.within("preprocess", () =>
			Promise.all([parsed.tokenize(model), badWordTokens(model.tokenizer, fields.badWords)]),
		);
		metrics.tokenized(performance.now() - began);
		generation = new Generation({
			model,
			fields,
			logprobs,
			echo,
			bestOf,
			badWords,
			prompts,
			promptField: endpoint.promptField,
			migration: {
				options: options.migration,
				metrics: migrationMetrics,
				readmission,
				tracer: options.tracer,
				span,
			},
		});
		const context = createRequestContext({
			id: requestId,
			signal: gone.signal,
			logger,
			...(span.trace ? { trace: span.trace } : {}),
		});
		const delivery = {
			generation,
			context,
			meter,
			format: endpoint.format(requestId, fields.model, Math.floor(Date.now() / 1000)),
		};
		if (fields.stream) {
			const stream = new SseStream(response, options.limits, (error) => gone.abort(error));
			failure = await deliverStream(delivery, stream, {
				include: fields.includeUsage,
				continuous: fields.continuousUsage,
			});
			if (failure !== null) span.fail(failure);
		} else await deliverWhole(delivery, response);
	} catch (error) {
		failure = gone.signal.aborted ? cancellationError(gone.signal) : error;
		throw failure;
	} finally {
		const usage = generation?.usage ?? { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };
		meter.end(usage, failure === null ? "" : metricLabel(failure));
		if (generation) metrics.detokenized(generation.detokenizeMs, usage.completionTokens);
		span.set({
			input_tokens: usage.promptTokens,
			output_tokens: usage.completionTokens,
			cached_tokens: usage.cachedTokens,
			ttft_ms: meter.firstTokenMs,
			finish_reason: [...(generation?.finishReasons ?? [])].join(",") || null,
			migrations,
		});
	}
}
