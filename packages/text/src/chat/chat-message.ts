// SPDX-License-Identifier: Apache-2.0

/** One piece of a message's content; templates of multimodal models take others than text. */
export interface ContentPart {
	readonly type: string;
	readonly text?: string;
	readonly [field: string]: unknown;
}

/** A turn, as the OpenAI API has it; unknown fields (`tool_calls`, `name`) reach the template as they are. */
export interface ChatMessage {
	readonly role: string;
	readonly content?: string | null | readonly ContentPart[];
	readonly [field: string]: unknown;
}

/** What a chat template is given. */
export interface ChatInput {
	readonly messages: readonly ChatMessage[];
	/** Tool definitions, in the OpenAI form. */
	readonly tools?: readonly unknown[];
	/** Ends the prompt with the opening of the assistant's turn. Default true. */
	readonly addGenerationPrompt?: boolean;
	/** More variables for the template, such as `enable_thinking`. */
	readonly kwargs?: Readonly<Record<string, unknown>>;
}
