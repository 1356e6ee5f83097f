// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { GgufMetadata, openCheckpoint } from "@dyn/models";
import { namedToken } from "../named-token.js";
import { readJsonFile } from "../read-json-file.js";
import { ChatTemplate } from "./chat-template.js";

/** What a model's files say about its template. */
interface Found {
	readonly template?: string | undefined;
	readonly toolTemplate?: string | undefined;
	readonly bosToken?: string | undefined;
	readonly eosToken?: string | undefined;
}

/**
 * Loads the chat template of a model: `chat_template.jinja` or `tokenizer_config.json` of a folder, or
 * `tokenizer.chat_template` of a GGUF file. `overridePath` names a Jinja file to use instead.
 * @returns a template that refuses to render when the model has none, so that its text completions can be served
 * @throws DynError INVALID_ARGUMENT when the override cannot be read, MODEL_FORMAT when a file or the template cannot
 * be parsed, NOT_FOUND when there is nothing at `path`.
 */
export async function loadChatTemplate(path: string, overridePath?: string): Promise<ChatTemplate> {
	const isFolder =
		existsSync(join(path, "tokenizer_config.json")) || existsSync(join(path, "tokenizer.json"));
	const found = isFolder ? await findInFolder(path) : await findInGguf(path);
	const override =
		overridePath === undefined ? undefined : await readTemplate(overridePath, "INVALID_ARGUMENT");
	return ChatTemplate.create(override ?? found.template ?? null, {
		source: overridePath ?? path,
		...(found.bosToken === undefined ? {} : { bosToken: found.bosToken }),
		...(found.eosToken === undefined ? {} : { eosToken: found.eosToken }),
		...(override !== undefined || found.toolTemplate === undefined
			? {}
			: { toolTemplate: found.toolTemplate }),
	});
}

async function findInFolder(path: string): Promise<Found> {
	const file = join(path, "tokenizer_config.json");
	const value = existsSync(file) ? await readJsonFile(file) : {};
	if (typeof value !== "object" || value === null)
		throw new DynError("MODEL_FORMAT", `${file}: the document must be an object`);
	const config = value as Record<string, unknown>;
	const tokens = { bosToken: namedToken(config["bos_token"]), eosToken: namedToken(config["eos_token"]) };
	const separate = join(path, "chat_template.jinja");
	if (existsSync(separate)) return { ...tokens, template: await readTemplate(separate, "MODEL_FORMAT") };
	const template = config["chat_template"];
	if (!Array.isArray(template))
		return { ...tokens, template: typeof template === "string" ? template : undefined };
	const named = (name: string): string | undefined => {
		const entry = template.find((candidate: { name?: unknown } | null) => candidate?.name === name);
		return typeof entry?.template === "string" ? entry.template : undefined;
	};
	return { ...tokens, template: named("default"), toolTemplate: named("tool_use") };
}

async function findInGguf(path: string): Promise<Found> {
	const checkpoint = await openCheckpoint(path);
	const metadata = new GgufMetadata(checkpoint.path, checkpoint.metadata);
	if (!metadata.has("tokenizer.ggml.tokens")) return {};
	const tokens = metadata.strings("tokenizer.ggml.tokens");
	const token = (name: string): string | undefined => {
		const id = metadata.tokenId(`tokenizer.ggml.${name}_token_id`, tokens.length);
		return id === undefined ? undefined : tokens[id];
	};
	return {
		template: metadata.string("tokenizer.chat_template"),
		toolTemplate: metadata.string("tokenizer.chat_template.tool_use"),
		bosToken: token("bos"),
		eosToken: token("eos"),
	};
}

async function readTemplate(file: string, code: "MODEL_FORMAT" | "INVALID_ARGUMENT"): Promise<string> {
	try {
		return await readFile(file, "utf8");
	} catch (error) {
		const reason = (error as Error).message;
		throw new DynError(code, `the chat template ${file} cannot be read: ${reason}`, { cause: error });
	}
}
