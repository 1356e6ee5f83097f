// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import { type CommonFields, readCommonFields } from "./common-fields.js";
import { isObject, ObjectReader } from "./object-reader.js";

/** A checked `/v1/completions` request. */
export interface CompletionRequest extends CommonFields {
	/** Texts or token ids; n choices are made for each. */
	readonly prompts: readonly (string | readonly number[])[];
	/** Alternatives per token, 0..5; null: no log-probabilities. */
	readonly logprobs: number | null;
	/** Candidates per prompt, of which the best n are answered; null: n. */
	readonly bestOf: number | null;
	/** Whether answers begin with their prompt. */
	readonly echo: boolean;
}

const MAX_CHOICES = 128;

/** @throws DynError INVALID_ARGUMENT or UNIMPLEMENTED with `details.param` */
export function readCompletionRequest(body: unknown): CompletionRequest {
	if (!isObject(body)) throw new DynError("INVALID_ARGUMENT", "the body must be a JSON object");
	const reader = new ObjectReader(body);
	const prompts = readPrompts(reader);
	const common = readCommonFields(reader);
	const total = prompts.length * common.n;
	if (total > MAX_CHOICES) {
		throw invalidArgument(
			"n",
			`Total choices (batch_size × n = ${prompts.length} × ${common.n} = ${total}) exceeds maximum of ${MAX_CHOICES}`,
		);
	}
	const logprobs = reader.integer(
		"logprobs",
		0,
		5,
		(value) => `Logprobs must be between 0 and 5, got ${value}`,
	);
	const bestOf = readBestOf(reader, common);
	const echo = reader.boolean("echo") ?? false;
	reader.notServed("suffix", (value) => value === "");
	reader.notServed("prompt_embeds");
	reader.finish();
	return { ...common, prompts, logprobs, bestOf, echo };
}

/** As OpenAI's: at least n, and nothing to stream before all candidates are there. */
function readBestOf(reader: ObjectReader, { n, stream }: CommonFields): number | null {
	const wanted = `best_of must be between n (${n}) and ${MAX_CHOICES}`;
	const bestOf = reader.integer("best_of", n, MAX_CHOICES, (value) => `${wanted}, got ${value}`);
	if (bestOf === null || bestOf === n) return null;
	if (stream) throw invalidArgument("best_of", "best_of above n cannot be streamed: leave stream out");
	return bestOf;
}

function readPrompts(reader: ObjectReader): (string | readonly number[])[] {
	const prompt = reader.raw("prompt");
	if (prompt === null)
		throw invalidArgument(
			"prompt",
			"prompt is missing: it must be a string, an array of strings or token ids",
		);
	if (typeof prompt === "string") {
		if (prompt === "") throw invalidArgument("prompt", "prompt cannot be empty");
		return [prompt];
	}
	if (!Array.isArray(prompt))
		throw reader.wrongType("prompt", "a string, an array of strings or token ids", prompt);
	if (prompt.length === 0) throw invalidArgument("prompt", "prompt cannot be empty");
	if (typeof prompt[0] === "number") return [tokenIds(prompt)];
	if (prompt.length > MAX_CHOICES)
		throw invalidArgument("prompt", `prompt may hold at most ${MAX_CHOICES} prompts, got ${prompt.length}`);
	return prompt.map((each: unknown) => {
		if (typeof each === "string" && each !== "") return each;
		if (Array.isArray(each) && each.length > 0) return tokenIds(each);
		throw invalidArgument("prompt", "each prompt must be a non-empty string or an array of token ids");
	});
}

function tokenIds(list: readonly unknown[]): readonly number[] {
	if (list.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)) return list as number[];
	throw invalidArgument("prompt", "a prompt of token ids may hold non-negative integers only");
}
