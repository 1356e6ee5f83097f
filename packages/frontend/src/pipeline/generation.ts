// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import { DynError, invalidArgument, linkSignals } from "@dyn/common";
import { createGenerateRequest, type EngineOutput, type GenerateRequest, type Usage } from "@dyn/protocols";
import type { CommonFields } from "@dyn/protocols/openai";
import { type Migration, migrate } from "../migration/migrate.js";
import type { ServableModel } from "../models/model-directory.js";
import { ChoiceText, type ShownLogprobs, showLogprobs } from "./choice-text.js";
import { checkContext } from "./context-check.js";
import { merge } from "./merge.js";
import { PromptEcho, scoredFirst } from "./prompt-echo.js";

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
	/** Whether answers begin with their prompt. */
	readonly echo: boolean;
	/** Candidates per prompt, of which the best are answered; null: as many as are answered. */
	readonly bestOf: number | null;
	/** The request's field that prompts come from, for errors. */
	readonly promptField: string;
	/** Token sequences that no answer may contain. */
	readonly badWords: readonly (readonly number[])[];
	/** Token ids, one list per prompt. */
	readonly prompts: readonly Uint32Array[];
	readonly migration: Migration;
}

/** One request to the engine: some choices of one prompt. */
interface Part {
	readonly promptIndex: number;
	readonly firstChoice: number;
	readonly choices: number;
}

/**
 * Most tokens in one event. An engine merges what it made while a client did not read, and clients take time quadratic
 * in the size of an event: with these, tokens of 128 bytes and 20 alternatives each, one stays below 256 KiB.
 */
const MAX_TOKENS = 256;
const MAX_TOKENS_WITH_LOGPROBS = 16;

/** Why the parts of a request stop that still run when it ends. */
const ENDED = new DynError("CANCELLED", "the request has ended");

const FINISH_REASONS = { eos: "stop", stop: "stop", length: "length", cancelled: null, none: null } as const;

/** One request on its way through dispatch and post-processing. `usage` counts what was delivered so far. */
export class Generation {
	readonly choices: number;
	readonly #options: GenerationOptions;
	#completionTokens = 0;
	/** Time spent on making text of tokens so far, ms. */
	detokenizeMs = 0;
	/** Why choices ended so far, each reason once. */
	readonly finishReasons: Set<string> = new Set();
	/** Per prompt. */
	readonly #cachedTokens: number[];

	/**
	 * @throws DynError CONTEXT_LENGTH_EXCEEDED or INVALID_ARGUMENT (unknown logits processor) before any work is done
	 */
	constructor(options: GenerationOptions) {
		this.#options = options;
		this.choices = options.prompts.length * options.fields.n;
		this.#cachedTokens = options.prompts.map(() => 0);
		const { card } = options.model;
		for (const prompt of options.prompts) checkContext(options.model, prompt.length, options.promptField);
		if (options.logprobs !== null && !card.logprobs)
			throw invalidArgument("logprobs", `${card.name} gives no log-probabilities; remove logprobs`);
		for (const [index, { name }] of options.fields.logitsProcessors.entries()) {
			if (card.logitsProcessors.includes(name)) continue;
			const known = card.logitsProcessors.join(", ") || "none";
			throw invalidArgument(
				`nvext.logits_processors[${index}].name`,
				`no logits processor named ${JSON.stringify(name.slice(0, 80))}; this model has: ${known}`,
			);
		}
	}

	get withLogprobs(): boolean {
		return this.#options.logprobs !== null;
	}

	get usage(): Usage {
		const promptTokens = this.#options.prompts.reduce((sum, prompt) => sum + prompt.length, 0);
		const cachedTokens = this.#cachedTokens.reduce((sum, cached) => sum + cached, 0);
		return { promptTokens, completionTokens: this.#completionTokens, cachedTokens };
	}

	/** Every choice's deltas; ends after each choice has had its finish reason. One request's failure ends all. */
	async *run(context: RequestContext): AsyncGenerator<ChoiceDelta, void> {
		const parts = this.#parts();
		if (parts.length === 1) return yield* this.#runPart(parts[0]!, context);
		const over = new AbortController();
		const { signal, unlink } = linkSignals(context.signal, over.signal);
		try {
			yield* merge(
				parts.map((part, index) => this.#runPart(part, { ...context, id: `${context.id}-${index}`, signal })),
			);
		} finally {
			over.abort(ENDED);
			unlink();
		}
	}

	/** Prompts and choices as requests that the model's workers take. */
	#parts(): Part[] {
		const { model, fields, prompts } = this.#options;
		const most = Math.max(1, model.card.maxChoices);
		return prompts.flatMap((_, promptIndex) =>
			Array.from({ length: Math.ceil(fields.n / most) }, (_, i) => ({
				promptIndex,
				firstChoice: i * most,
				choices: Math.min(most, fields.n - i * most),
			})),
		);
	}

	async *#runPart(part: Part, context: RequestContext): AsyncGenerator<ChoiceDelta, void> {
		const { model, fields, logprobs, echo, prompts, migration } = this.#options;
		const { promptIndex, firstChoice } = part;
		const indexOf = (choice: number) => promptIndex * fields.n + firstChoice + choice;
		const texts = Array.from({ length: part.choices }, () => new ChoiceText(model.tokenizer, fields));
		/** Choices that the client waits for, and those that the engine works on. */
		const open = new Set(texts.keys());
		const running = new Set(texts.keys());
		const stream = migrate({
			...migration,
			model,
			context,
			request: this.#engineRequest(part),
			instanceId: fields.instanceId,
		});
		const prompt = echo ? new PromptEcho(model.tokenizer, prompts[promptIndex]!, fields) : null;
		const silent = new Set(texts.keys());
		let scores: readonly ShownLogprobs[] = [];
		for await (const output of prompt && logprobs !== null ? scoredFirst(stream) : stream) {
			if (prompt && output.promptLogprobs) scores = prompt.logprobs(output.promptLogprobs);
			if (prompt && silent.delete(output.index))
				for (const piece of prompt.pieces(logprobs === null ? null : scores, MAX_TOKENS_WITH_LOGPROBS))
					yield { ...piece, index: indexOf(output.index), tokens: 0, finishReason: null };
			if (output.finishReason !== null) running.delete(output.index);
			const cached = output.usage?.cachedTokens ?? 0;
			this.#cachedTokens[promptIndex] = Math.max(this.#cachedTokens[promptIndex]!, cached);
			for (const piece of pieces(output, logprobs === null ? MAX_TOKENS : MAX_TOKENS_WITH_LOGPROBS)) {
				if (!open.has(output.index)) break; // goes on behind its stop string
				const delta = this.#deltaOf(piece, texts[output.index]!, indexOf(output.index));
				if (delta.finishReason) open.delete(output.index);
				yield delta;
			}
			// Leaving cancels what goes on; where nothing does, the engine ends the stream by itself.
			if (open.size === 0 && running.size > 0) return;
		}
	}

	#deltaOf(output: EngineOutput, choice: ChoiceText, index: number): ChoiceDelta {
		const { model, logprobs } = this.#options;
		const began = performance.now();
		const { text, tokens, stopped } = choice.push(output.tokenIds, output.finishReason !== null);
		this.detokenizeMs += performance.now() - began;
		this.#completionTokens += tokens;
		const finishReason = stopped ? "stop" : FINISH_REASONS[output.finishReason ?? "none"];
		if (finishReason) this.finishReasons.add(finishReason);
		return {
			index,
			text,
			tokens,
			logprobs:
				logprobs === null
					? null
					: (output.logprobs ?? []).slice(0, tokens).map((entry) => showLogprobs(model.tokenizer, entry)),
			finishReason,
		};
	}

	#engineRequest({ promptIndex, firstChoice, choices }: Part): GenerateRequest {
		const { fields, logprobs, echo, bestOf, badWords, prompts } = this.#options;
		// As an engine does it that makes all choices of a request: each has a seed of its own.
		const seed = fields.seed === null ? null : fields.seed + firstChoice;
		return createGenerateRequest({
			model: fields.model,
			tokenIds: prompts[promptIndex]!,
			sampling: { ...fields, n: choices, badWords, bestOf, seed },
			stop: fields,
			output: { logprobs, promptLogprobs: echo ? logprobs : null },
			routing: fields,
			guided: fields.guided,
			logitsProcessors: fields.logitsProcessors,
			lora: this.#options.model.card.lora ?? null,
		});
	}
}

/** An output in pieces of at most `size` tokens; the last has the finish reason. */
function* pieces(output: EngineOutput, size: number): Generator<EngineOutput, void> {
	const { tokenIds, logprobs } = output;
	let from = 0;
	for (; from + size < tokenIds.length; from += size) {
		yield {
			...output,
			tokenIds: tokenIds.slice(from, from + size),
			logprobs: logprobs?.slice(from, from + size) ?? null,
			finishReason: null,
		};
	}
	yield from === 0
		? output
		: { ...output, tokenIds: tokenIds.slice(from), logprobs: logprobs?.slice(from) ?? null };
}
