// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { openCheckpoint } from "@dyn/models";
import { ggufTokenizerDocument } from "./gguf-tokenizer.js";

export interface AddedToken {
	readonly id: number;
	readonly content: string;
	readonly special: boolean;
}

/** The parts of a Hugging Face tokenizer.json that this package reads itself; the rest goes to the encoder as it is. */
export interface TokenizerDocument {
	readonly added_tokens?: readonly AddedToken[];
	readonly model: {
		readonly vocab: Readonly<Record<string, number>> | readonly (readonly [string, number])[];
		readonly [key: string]: unknown;
	};
	readonly decoder: unknown;
	readonly [key: string]: unknown;
}

/** What a model says about its texts, wherever it says it. */
export interface TextFiles {
	readonly document: TokenizerDocument;
	readonly bosToken: string;
	readonly eosToken: string;
	readonly eosTokenIds: readonly number[];
	/** Jinja source, or null. */
	readonly chatTemplate: string | null;
}

/**
 * Reads tokenizer and chat template of a Hugging Face folder or a GGUF file.
 * @throws DynError NOT_FOUND or MODEL_FORMAT, naming the file.
 */
export async function readTextFiles(path: string): Promise<TextFiles> {
	const info = await stat(path).catch(() => null);
	if (!info) throw new DynError("NOT_FOUND", `there is no model at ${path}`);
	if (info.isDirectory() && existsSync(join(path, "tokenizer.json"))) return readFolder(path);
	const checkpoint = await openCheckpoint(path);
	if (checkpoint.format === "gguf") return ggufTokenizerDocument(checkpoint);
	throw new DynError("MODEL_FORMAT", `${path} has no tokenizer.json; pass another tokenizer`);
}

async function readFolder(folder: string): Promise<TextFiles> {
	const document = (await readJson(join(folder, "tokenizer.json"))) as unknown as TokenizerDocument;
	if (typeof document.model?.vocab !== "object")
		throw new DynError("MODEL_FORMAT", `${join(folder, "tokenizer.json")} has no vocabulary`);
	const config = await readJson(join(folder, "tokenizer_config.json"), {});
	const model = await readJson(join(folder, "config.json"), {});
	const generation = await readJson(join(folder, "generation_config.json"), {});
	const eosTokenIds = [model["eos_token_id"], generation["eos_token_id"]]
		.flat()
		.filter((id): id is number => typeof id === "number");
	const templateFile = join(folder, "chat_template.jinja");
	return {
		document,
		bosToken: tokenText(config["bos_token"]),
		eosToken: tokenText(config["eos_token"]),
		eosTokenIds: [...new Set(eosTokenIds)],
		chatTemplate: existsSync(templateFile)
			? await readFile(templateFile, "utf8")
			: templateOf(config["chat_template"]),
	};
}

/** A token is written as a string or as an object with its content. */
function tokenText(value: unknown): string {
	if (typeof value === "string") return value;
	const content = (value as { content?: unknown } | null)?.content;
	return typeof content === "string" ? content : "";
}

/** A template is written as a string or as a list of named ones. */
function templateOf(value: unknown): string | null {
	if (typeof value === "string") return value;
	if (!Array.isArray(value)) return null;
	const named = value.find((entry) => entry?.name === "default") ?? value[0];
	return typeof named?.template === "string" ? named.template : null;
}

async function readJson(file: string, fallback?: Record<string, unknown>): Promise<Record<string, unknown>> {
	if (fallback && !existsSync(file)) return fallback;
	try {
		const value: unknown = JSON.parse(await readFile(file, "utf8"));
		if (typeof value === "object" && value !== null && !Array.isArray(value))
			return value as Record<string, unknown>;
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${file} is not readable JSON`, { cause: error });
	}
	throw new DynError("MODEL_FORMAT", `${file} is not a JSON object`);
}
