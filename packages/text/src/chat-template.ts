// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { DynError, invalidArgument } from "@dyn/common";
import type { PromptSegment, Tokenizer } from "./tokenizer.js";
import { readTextFiles, type TextFiles } from "./tokenizer-document.js";

export interface ChatMessage {
	readonly role: string;
	readonly content: string;
	readonly [key: string]: unknown;
}

export interface RenderOptions {
	/** End with the opening of the assistant's turn. Default true. */
	readonly addGenerationPrompt?: boolean;
	/** Further variables for the template. `chat_template` is refused. */
	readonly variables?: Readonly<Record<string, unknown>>;
}

/** A model's chat template: messages to prompt. */
export interface ChatTemplate {
	/**
	 * Renders with `trim_blocks` and `lstrip_blocks`, as transformers does.
	 * @returns the prompt in pieces; the text of special tokens inside a message's content comes as an untrusted piece,
	 * so that users cannot forge turns
	 * @throws DynError INVALID_ARGUMENT with the template's own complaint
	 */
	render(messages: readonly ChatMessage[], options?: RenderOptions): PromptSegment[];
}

/**
 * @param overridePath a Jinja file that replaces the model's own template
 * @throws DynError INVALID_ARGUMENT on use, not here, when the model has no template
 */
export async function loadChatTemplate(
	path: string,
	tokenizer: Tokenizer,
	overridePath?: string | null,
): Promise<ChatTemplate> {
	const files = await readTextFiles(path);
	const source = overridePath ? await readFile(overridePath, "utf8") : files.chatTemplate;
	return createChatTemplate(path, { ...files, chatTemplate: source }, tokenizer);
}

export async function createChatTemplate(
	where: string,
	files: Pick<TextFiles, "chatTemplate" | "bosToken" | "eosToken">,
	tokenizer: Tokenizer,
): Promise<ChatTemplate> {
	const { Template } = await import("@huggingface/jinja");
	let template: InstanceType<typeof Template> | null = null;
	try {
		template = files.chatTemplate === null ? null : new Template(files.chatTemplate);
	} catch (error) {
		throw new DynError(
			"MODEL_FORMAT",
			`${where}: the chat template is not valid Jinja: ${(error as Error).message}`,
			{ cause: error },
		);
	}
	return {
		render(messages, { addGenerationPrompt = true, variables = {} } = {}) {
			if (!template) {
				throw invalidArgument(
					"messages",
					"this model has no chat template; use /v1/completions, or start the worker with --custom-jinja-template",
				);
			}
			if (Object.hasOwn(variables, "chat_template")) {
				throw invalidArgument("chat_template_args.chat_template", "chat_template cannot be set by a request");
			}
			const guard = new SpecialTextGuard(tokenizer.specialTexts);
			let text: string;
			try {
				text = template.render({
					bos_token: files.bosToken,
					eos_token: files.eosToken,
					...variables,
					messages: messages.map((message) => ({ ...message, content: guard.hide(message.content) })),
					add_generation_prompt: addGenerationPrompt,
				});
			} catch (error) {
				throw new DynError(
					"INVALID_ARGUMENT",
					`the chat template refused the messages: ${(error as Error).message}`,
					{
						cause: error,
						details: { param: "messages" },
					},
				);
			}
			return guard.reveal(text);
		},
	};
}

/**
 * Keeps users from writing control tokens: their text in a message is replaced by a placeholder that no message can
 * contain, and comes out of the rendered prompt as an untrusted segment. Messages without such text are not touched,
 * so their token ids are exactly those of the plain rendering.
 */
class SpecialTextGuard {
	readonly #texts: readonly string[];
	readonly #open: string = `\uE000${randomBytes(8).toString("hex")}:`;
	readonly #hidden: string[] = [];

	constructor(texts: readonly string[]) {
		this.#texts = texts;
	}

	hide(content: string): string {
		let result = content;
		for (const text of this.#texts) {
			if (!result.includes(text)) continue;
			result = result.replaceAll(text, () => `${this.#open}${this.#hidden.push(text) - 1}\uE001`);
		}
		return result;
	}

	reveal(text: string): PromptSegment[] {
		if (this.#hidden.length === 0) return [{ text, trusted: true }];
		const [first, ...rest] = text.split(this.#open);
		const segments: PromptSegment[] = [{ text: first!, trusted: true }];
		for (const part of rest) {
			const end = part.indexOf("\uE001");
			segments.push(
				{ text: this.#hidden[Number(part.slice(0, end))]!, trusted: false },
				{ text: part.slice(end + 1), trusted: true },
			);
		}
		return segments.filter((segment) => segment.text !== "");
	}
}
