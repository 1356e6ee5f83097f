// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { ChatInput } from "./chat-message.js";
import type { ChatTemplate } from "./chat-template.js";
import { LiteralText, takeOutMarks } from "./literal-text.js";

export interface EncodedChat {
	/** The rendered prompt. */
	readonly text: string;
	readonly tokenIds: Uint32Array;
}

const literalTexts = new WeakMap<Tokenizer, LiteralText>();

/**
 * Renders a conversation and tokenizes it: what the template writes becomes control tokens, the same characters in
 * what a user wrote (contents, names, tool definitions, template variables) stay text. Roles count as the
 * template's; check them before.
 * @throws DynError INVALID_ARGUMENT when the template refuses the conversation, or when it rewrites user text that
 * spells a control token, so that the two can no longer be told apart.
 */
export async function encodeChat(
	tokenizer: Tokenizer,
	template: ChatTemplate,
	input: ChatInput,
): Promise<EncodedChat> {
	let literals = literalTexts.get(tokenizer);
	if (!literals) {
		literals = new LiteralText(tokenizer.info.specialTokens);
		literalTexts.set(tokenizer, literals);
	}
	const text = template.render(input);
	const marked = markedInput(literals, input);
	const options = { addSpecialTokens: false, parseSpecial: true };
	if (marked === input) return { text, tokenIds: await tokenizer.encode(text, options) };
	const rendered = takeOutMarks(template.render(marked));
	if (rendered.text !== text)
		throw invalidArgument(
			"messages",
			"a message spells one of the model's control tokens where the chat template rewrites it; remove that text",
		);
	return { text, tokenIds: await tokenizer.encode(text, { ...options, literalOffsets: rendered.offsets }) };
}

function markedInput(literals: LiteralText, input: ChatInput): ChatInput {
	try {
		return literals.mark(input);
	} catch (error) {
		if (error instanceof RangeError)
			throw invalidArgument("messages", "the messages or tools nest too deeply; flatten them");
		throw error;
	}
}
