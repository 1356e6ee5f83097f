// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { GgufMetadata, ggufTokenIds, openCheckpoint } from "@dyn/models";

/** What a checkpoint's files say and an engine in another process may not. */
export interface ModelFacts {
	readonly vocabSize: number | undefined;
	/** Undefined when the files do not say. */
	readonly eosTokenIds: readonly number[] | undefined;
}

/** Of a folder's `config.json` and `generation_config.json`, else of a GGUF file; what cannot be read is not said. */
export async function modelFacts(modelPath: string): Promise<ModelFacts> {
	const facts = await folderFacts(modelPath);
	return facts.vocabSize === undefined ? ((await ggufFacts(modelPath)) ?? facts) : facts;
}

/** Null when it is none. */
async function ggufFacts(modelPath: string): Promise<ModelFacts | null> {
	try {
		const { format, path, metadata } = await openCheckpoint(modelPath);
		if (format !== "gguf") return null;
		const reader = new GgufMetadata(path, metadata);
		const vocabSize = reader.strings("tokenizer.ggml.tokens").length;
		return { vocabSize, eosTokenIds: ggufTokenIds(reader, vocabSize).eosTokenIds };
	} catch {
		return null;
	}
}

async function folderFacts(modelPath: string): Promise<ModelFacts> {
	const [config, generation] = await Promise.all(
		["config.json", "generation_config.json"].map((name) => readObject(join(modelPath, name))),
	);
	const text = config!["text_config"];
	const vocabSize = config!["vocab_size"] ?? (isObject(text) ? text["vocab_size"] : undefined);
	const eos = generation!["eos_token_id"] ?? config!["eos_token_id"];
	const ids = (Array.isArray(eos) ? eos : [eos]).filter((id) => Number.isInteger(id)) as number[];
	return {
		vocabSize: Number.isInteger(vocabSize) ? (vocabSize as number) : undefined,
		eosTokenIds: ids.length > 0 ? ids : undefined,
	};
}

const isObject = (value: unknown): value is Record<string, unknown> =>
	typeof value === "object" && value !== null && !Array.isArray(value);

async function readObject(file: string): Promise<Record<string, unknown>> {
	try {
		const value: unknown = JSON.parse(await readFile(file, "utf8"));
		return isObject(value) ? value : {};
	} catch {
		return {};
	}
}
