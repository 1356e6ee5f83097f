// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** What a checkpoint's files say and an engine behind gRPC may not. */
export interface ModelFacts {
	readonly vocabSize: number | undefined;
	/** Undefined when the files do not say. */
	readonly eosTokenIds: readonly number[] | undefined;
}

/** Of a folder's `config.json` and `generation_config.json`; what cannot be read is not said. */
export async function modelFacts(modelPath: string): Promise<ModelFacts> {
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
