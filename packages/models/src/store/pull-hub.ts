// SPDX-License-Identifier: Apache-2.0
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DynError } from "@dyn/common";
import { type HubOptions, listRepository } from "./hub-client.js";
import { isPlainPath } from "./plain-path.js";
import { downloadFile } from "./resumable-download.js";

/** Files of a repository that serving needs. */
const WANTED =
	/^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map)\.json$|^chat_template\.jinja$|^model(-\d+-of-\d+)?\.safetensors$|^model\.safetensors\.index\.json$/;

export interface HubModel {
	/** "organisation/name". */
	readonly repository: string;
	/** One GGUF file of it, or null for the safetensors checkpoint. */
	readonly file: string | null;
	readonly revision: string;
}

/** "org/name", "org/name:file.gguf", either with "@revision" after the name; null for anything else. */
export function parseHubModel(model: string): HubModel | null {
	const match = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?(?::([\w./-]+\.gguf))?$/.exec(model);
	const [repository, revision, file] = [match?.[1], match?.[2] ?? "main", match?.[3] ?? null];
	// A name that ends in .gguf is the path of a file that is not there.
	if (!repository || repository.endsWith(".gguf")) return null;
	if (![repository, revision, file ?? "-"].every(isPlainPath)) return null;
	return { repository, revision, file };
}

/**
 * Downloads a model from the hub into a folder inside `folder`, which is named after its commit and given back: what
 * an earlier attempt left there of the same commit is not fetched again, and never mixed with another's.
 */
export async function pullHub(model: HubModel, folder: string, options: HubOptions): Promise<string> {
	const { repository, revision } = model;
	const { commit, files } = await listRepository(repository, revision, options);
	const wanted = files.filter(({ name }) => (model.file ? name === model.file : WANTED.test(name)));
	const has = (test: (name: string) => boolean) => wanted.some(({ name }) => test(name));
	if (model.file && wanted.length === 0)
		throw new DynError("MODEL_UNAVAILABLE", `${repository} has no file ${model.file}; check the spelling`);
	if (
		!model.file &&
		!(has((name) => name.endsWith(".safetensors")) && has((name) => name === "config.json"))
	) {
		const gguf = files.map(({ name }) => name).find((name) => name.endsWith(".gguf"));
		const advice = gguf
			? `name one of its GGUF files, for example ${repository}:${gguf}`
			: "choose another model";
		throw new DynError(
			"MODEL_UNAVAILABLE",
			`${repository} has no safetensors checkpoint with a config.json; ${advice}`,
		);
	}
	for (const file of wanted) {
		const target = join(folder, commit, file.name);
		await mkdir(dirname(target), { recursive: true });
		await downloadFile(repository, commit, file, target, options);
	}
	return join(folder, commit);
}
