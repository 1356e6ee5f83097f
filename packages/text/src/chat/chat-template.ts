// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import type { ChatInput, ChatMessage, ContentPart } from "./chat-message.js";
import { TemplateProgram } from "./template-program.js";

export interface ChatTemplateOptions {
	/** Where the template comes from, for messages. */
	readonly source: string;
	/** Texts of the tokens that templates refer to by name; empty when the model has none. */
	readonly bosToken?: string;
	readonly eosToken?: string;
	/** Another template for requests with tools. */
	readonly toolTemplate?: string;
}

/** Steps of a conversation of one message, where even the longest templates take some hundreds. */
const PROBE_STEPS = 20_000;

/** Names that requests must not redefine. */
const RESERVED = new Set(
	"chat_template messages tools add_generation_prompt bos_token eos_token raise_exception strftime_now range namespace true True false False none None".split(
		" ",
	),
);

/** Turns a conversation into the text of a prompt, as the model was trained to see it. */
export class ChatTemplate {
	readonly source: string;
	readonly #plain: TemplateProgram | null;
	readonly #withTools: TemplateProgram | null;
	readonly #tokens: Readonly<Record<string, string>>;
	readonly #takesParts: boolean;

	private constructor(
		plain: TemplateProgram | null,
		withTools: TemplateProgram | null,
		options: ChatTemplateOptions,
	) {
		this.source = options.source;
		this.#plain = plain;
		this.#withTools = withTools;
		this.#tokens = { bos_token: options.bosToken ?? "", eos_token: options.eosToken ?? "" };
		this.#takesParts = this.#probeParts();
	}

	/**
	 * @param template Jinja source, or null for a model without one: every rendering then says so.
	 * @throws DynError MODEL_FORMAT when the template cannot be parsed.
	 */
	static async create(template: string | null, options: ChatTemplateOptions): Promise<ChatTemplate> {
		const plain = template === null ? null : await parse(template, options.source);
		const withTools =
			options.toolTemplate === undefined ? plain : await parse(options.toolTemplate, options.source);
		return new ChatTemplate(plain, withTools, options);
	}

	/**
	 * Text parts are joined for templates that take strings only.
	 * @throws DynError INVALID_ARGUMENT with the template's own message when it refuses the conversation, or when the
	 * model has no template.
	 */
	render(input: ChatInput): string {
		const kwargs = input.kwargs ?? {};
		for (const name of Object.keys(kwargs))
			if (RESERVED.has(name))
				throw invalidArgument(
					`chat_template_kwargs.${name}`,
					`chat_template_kwargs must not set ${name}; remove it`,
				);
		const program = input.tools?.length ? this.#withTools : this.#plain;
		if (!program)
			throw invalidArgument(
				"messages",
				`${this.source} has no chat template; pass the path of a Jinja template to the worker, or use text completions`,
			);
		const variables = {
			...kwargs,
			...this.#tokens,
			messages: this.#takesParts ? input.messages : input.messages.map(joinParts),
			tools: input.tools?.length ? input.tools : null,
			add_generation_prompt: input.addGenerationPrompt ?? true,
		};
		try {
			return program.render(variables);
		} catch (error) {
			throw new DynError("INVALID_ARGUMENT", `the chat template refused the messages: ${reason(error)}`, {
				cause: error,
				details: { param: "messages" },
			});
		}
	}

	/** A template takes parts if it makes the same of one text part as of the text. */
	#probeParts(): boolean {
		const program = this.#plain;
		if (!program) return false;
		const messages = (content: string | readonly ContentPart[]): Record<string, unknown> => ({
			...this.#tokens,
			messages: [{ role: "user", content }],
			tools: null,
			add_generation_prompt: true,
		});
		try {
			const parts = program.render(messages([{ type: "text", text: "probe" }]), PROBE_STEPS);
			return parts.includes("probe") && parts === program.render(messages("probe"), PROBE_STEPS);
		} catch {
			return false;
		}
	}
}

async function parse(template: string, source: string): Promise<TemplateProgram> {
	try {
		return await TemplateProgram.parse(template);
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `the chat template of ${source} cannot be parsed: ${reason(error)}`, {
			cause: error,
		});
	}
}

function reason(error: unknown): string {
	// The interpreter calls itself for every level of nesting.
	if (error instanceof RangeError) return "it nests too deeply or makes too large a value";
	return error instanceof Error ? error.message : String(error);
}

function joinParts(message: ChatMessage, index: number): ChatMessage {
	if (!Array.isArray(message.content)) return message;
	const texts = (message.content as readonly ContentPart[]).map((part, at) => {
		if (part?.type !== "text" || typeof part.text !== "string")
			throw invalidArgument(
				`messages[${index}].content[${at}]`,
				`this model takes text only, not a content part of type ${JSON.stringify(part?.type)}; remove it`,
			);
		return part.text;
	});
	return { ...message, content: texts.join("") };
}
