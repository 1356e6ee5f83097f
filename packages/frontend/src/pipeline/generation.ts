// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import { DynError } from "@dyn/common";
import { createGenerateRequest, type EngineOutput, type GenerateRequest, type Usage } from "@dyn/protocols";
import type { CommonFields } from "@dyn/protocols/openai";
import type { ServableModel } from "../models/model-directory.js";
import { ChoiceText, type ShownLogprobs, showLogprobs } from "./choice-text.js";
import { checkContext } from "./context-check.js";
import { merge } from "./merge.js";

/** A piece of one choice's answer, in OpenAI's terms. */
export interface ChoiceDelta {
	/** prompt index * n + choice of that prompt */
	readonly index: number;
	readonly text: string;
	/** Tokens in this piece. */
	readonly tokens: number;
	readonly logprobs: readonly ShownLogprobs[] | null;
	readonly finishReason: "stop" | "length" | null;
}

export interface GenerationOptions {
	readonly model: ServableModel;
	readonly fields: CommonFields;
	readonly logprobs: number | null;
	/** The request's field that prompts come from, for errors. */
	readonly promptField: string;
	/** Token ids, one list per prompt. */
	readonly prompts: readonly Uint32Array[];
}

/** One request on its way through dispatch and post-processing. `usage` counts what was delivered so far. */
export class Generation {
	readonly choices: number;
	readonly #options: GenerationOptions;
	#completionTokens = 0;
	#cachedTokens = 0;

	/**
	 * @throws DynError CONTEXT_LENGTH_EXCEEDED or INVALID_ARGUMENT (unknown logits processor) before any work is done
	 */
	constructor(options: GenerationOptions) {
		this.#options = options;
		this.choices = options.prompts.length * options.fields.n;
		const { card } = options.model;
		for (const prompt of options.prompts) checkContext(options.model, prompt.length, options.promptField);
		for (const [index, { name }] of options.fields.logitsProcessors.entries()) {
			if (card.logitsProcessors.includes(name)) continue;
			const known = card.logitsProcessors.join(", ") || "none";
			throw new DynError(
				"INVALID_ARGUMENT",
				`no logits processor named ${JSON.stringify(name.slice(0, 80))}; this model has: ${known}`,
				{
					details: { param: `nvext.logits_processors[${index}].name` },
				},
			);
		}
	}

	get withLogprobs(): boolean {
		return this.#options.logprobs !== null;
	}

	get usage(): Usage {
		const promptTokens = this.#options.prompts.reduce((sum, prompt) => sum + prompt.length, 0);
		return { promptTokens, completionTokens: this.#completionTokens, cachedTokens: this.#cachedTokens };
	}

	/** Every choice's deltas; ends after each choice has had its finish reason. */
	run(context: RequestContext): AsyncGenerator<ChoiceDelta, void> {
		return merge(this.#options.prompts.map((prompt, index) => this.#runPrompt(prompt, index, context)));
	}

	async *#runPrompt(
		prompt: Uint32Array,
		promptIndex: number,
		context: RequestContext,
	): AsyncGenerator<ChoiceDelta, void> {
		const { model, fields, logprobs } = this.#options;
		const texts = Array.from({ length: fields.n }, () => new ChoiceText(model.tokenizer, fields));
		const open = new Set(texts.keys());
		const stream = model.client.generate(
			this.#engineRequest(prompt),
			context,
			fields.instanceId === null ? {} : { instanceId: fields.instanceId },
		);
		let cached = 0;
		for await (const output of stream as AsyncIterable<EngineOutput>) {
			if (!open.has(output.index)) continue; // goes on behind its stop string
			if (output.finishReason === "cancelled") throw new DynError("CANCELLED", "the request was cancelled");
			cached = Math.max(cached, output.usage?.cachedTokens ?? 0);
			const { text, stopped } = texts[output.index]!.push(output.tokenIds, output.finishReason !== null);
			this.#completionTokens += output.tokenIds.length;
			const finishReason = stopped
				? "stop"
				: output.finishReason === null
					? null
					: output.finishReason === "length"
						? "length"
						: "stop";
			if (finishReason) open.delete(output.index);
			if (open.size === 0) this.#cachedTokens += cached;
			yield {
				index: promptIndex * fields.n + output.index,
				text,
				tokens: output.tokenIds.length,
				logprobs:
					logprobs === null
						? null
						: (output.logprobs ?? []).map((entry) => showLogprobs(model.tokenizer, entry)),
				finishReason,
			};
			if (open.size === 0) return;
		}
		if (open.size > 0) throw new DynError("DISCONNECTED", "the worker ended its answer too early");
	}

	#engineRequest(tokenIds: Uint32Array): GenerateRequest {
		const { fields, logprobs } = this.#options;
		return createGenerateRequest({
			model: fields.model,
			tokenIds,
			sampling: fields,
			stop: fields,
			output: { logprobs },
			routing: fields,
			logitsProcessors: fields.logitsProcessors,
		});
	}
}
