// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument } from "@dyn/common";
import { type CommonFields, readCommonFields } from "./common-fields.js";
import { isObject, ObjectReader } from "./object-reader.js";

export interface ChatTurn {
	readonly role: string;
	/** Text parts joined. */
	readonly content: string;
	readonly [key: string]: unknown;
}

/** A checked `/v1/chat/completions` request. */
export interface ChatRequest extends CommonFields {
	readonly messages: readonly ChatTurn[];
	/** Alternatives per token, 0..20; null: no log-probabilities. */
	readonly logprobs: number | null;
	/** Further variables for the chat template. */
	readonly templateVariables: Readonly<Record<string, unknown>>;
}

const ROLES = ["system", "developer", "user", "assistant", "tool"];

/** @throws DynError INVALID_ARGUMENT or UNIMPLEMENTED with `details.param` */
export function readChatRequest(body: unknown): ChatRequest {
	if (!isObject(body)) throw new DynError("INVALID_ARGUMENT", "the body must be a JSON object");
	const reader = new ObjectReader(body);
	const messages = readMessages(reader);
	const common = readCommonFields(reader);
	reader.notServed("tools", (value) => Array.isArray(value) && value.length === 0);
	reader.notServed("tool_choice", (value) => value === "none" || value === "auto");
	reader.notServed("functions");
	reader.notServed("function_call", (value) => value === "none");
	reader.boolean("parallel_tool_calls");
	const topLogprobs = reader.integer(
		"top_logprobs",
		0,
		20,
		(value) => `Top_logprobs must be between 0 and 20, got ${value}`,
	);
	const wanted = reader.boolean("logprobs") ?? false;
	if (topLogprobs !== null && topLogprobs > 0 && !wanted)
		throw invalidArgument("top_logprobs", "top_logprobs needs logprobs: true");
	const args = reader.raw("chat_template_args") ?? reader.raw("chat_template_kwargs");
	reader.raw("chat_template_kwargs");
	if (args !== null && !isObject(args)) throw reader.wrongType("chat_template_args", "an object", args);
	reader.finish();
	return { ...common, messages, logprobs: wanted ? (topLogprobs ?? 0) : null, templateVariables: args ?? {} };
}

function readMessages(reader: ObjectReader): ChatTurn[] {
	const list = reader.array("messages");
	if (!list) throw invalidArgument("messages", "messages is missing: it must be an array of turns");
	if (list.length === 0)
		throw invalidArgument(
			"messages",
			"The 'messages' field cannot be empty. At least one message is required.",
		);
	return list.map((message, index) => readMessage(message, `messages[${index}]`));
}

function readMessage(message: unknown, path: string): ChatTurn {
	if (!isObject(message)) throw invalidArgument(path, `${path} must be an object with role and content`);
	const reader = new ObjectReader(message, path);
	const role = reader.string("role");
	if (role === null || !ROLES.includes(role))
		throw invalidArgument(`${path}.role`, `${path}.role must be one of ${ROLES.join(", ")}`);
	const name = reader.string("name");
	reader.notServed("tool_calls", (value) => Array.isArray(value) && value.length === 0);
	reader.notServed("function_call");
	const toolCallId = reader.string("tool_call_id");
	reader.raw("refusal");
	reader.raw("annotations");
	reader.raw("reasoning_content");
	const content = readContent(reader, role);
	reader.finish();
	return {
		role: role === "developer" ? "system" : role,
		content,
		...(name ? { name } : {}),
		...(toolCallId ? { tool_call_id: toolCallId } : {}),
	};
}

function readContent(reader: ObjectReader, role: string): string {
	const content = reader.raw("content");
	if (typeof content === "string") return content;
	if (content === null && role === "assistant") return "";
	const path = reader.path("content");
	if (!Array.isArray(content)) throw reader.wrongType("content", "a string or an array of parts", content);
	return content
		.map((part, index) => {
			const at = `${path}[${index}]`;
			if (!isObject(part)) throw invalidArgument(at, `${at} must be an object`);
			if (part["type"] !== "text") {
				throw invalidArgument(
					`${at}.type`,
					`${at}.type must be "text": this model takes no ${JSON.stringify(part["type"] ?? null).slice(0, 40)} parts`,
				);
			}
			if (typeof part["text"] !== "string")
				throw invalidArgument(`${at}.text`, `${at}.text must be a string`);
			return part["text"];
		})
		.join("");
}
