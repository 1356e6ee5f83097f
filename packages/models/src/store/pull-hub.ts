// SPDX-License-Identifier: Apache-2.0
import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DynError } from "@dyn/common";
import { HubClient, type HubOptions } from "./hub-client.js";

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
	if (!match || match[1]!.split("/").some((part) => part === "." || part === "..")) return null;
	return { repository: match[1]!, revision: match[2] ?? "main", file: match[3] ?? null };
}

/** Downloads a model from the hub into `folder`; what is complete there is not fetched again. */
export async function pullHub(model: HubModel, folder: string, options: HubOptions): Promise<void> {
	const hub = new HubClient(options);
	const { commit, files } = await hub.repository(model.repository, model.revision);
	const wanted = files.filter(({ name }) => (model.file ? name === model.file : WANTED.test(name)));
	if (model.file && wanted.length === 0)
		throw new DynError("MODEL_UNAVAILABLE", `${model.repository} has no file ${model.file}`);
	if (!model.file && !wanted.some(({ name }) => name.endsWith(".safetensors"))) {
		const gguf = files.map(({ name }) => name).filter((name) => name.endsWith(".gguf"));
		const advice =
			gguf.length > 0
				? `name one of its GGUF files, for example ${model.repository}:${gguf[0]}`
				: "choose another model";
		throw new DynError("MODEL_UNAVAILABLE", `${model.repository} has no safetensors checkpoint; ${advice}`);
	}
	for (const file of wanted) {
		const target = join(folder, file.name);
		await mkdir(dirname(target), { recursive: true });
		await hub.download(model.repository, commit, file, target);
	}
}
