// SPDX-License-Identifier: Apache-2.0
import { describeModelFiles, type ModelFilesOptions } from "@dyn/models";
import type { CheckedFile, ModelFiles } from "@dyn/protocols";
import { slugOf } from "@dyn/protocols/dynamo";
import type { EndpointPath } from "@dyn/runtime";

export interface MetadataOptions {
	/** Where the files of a GGUF model are written. */
	readonly cacheDirectory: string;
	/** Of a server that serves `files`, such as http://10.0.0.7:9090. Default: the card names paths of this machine. */
	readonly baseUrl?: string | undefined;
	/** Gets URL path → file of what the card names, before it is published: what a status server takes as `files`. */
	readonly files?: Map<string, string> | undefined;
}

/** Names below the base URL; Dynamo's frontend keeps each file under the last part of its URL. */
const FILE_NAMES: Readonly<Record<keyof ModelFiles, string>> = {
	config: "config.json",
	tokenizer: "tokenizer.json",
	tokenizerConfig: "tokenizer_config.json",
	generationConfig: "generation_config.json",
	chatTemplate: "chat_template.jinja",
};

/**
 * The files of a model as its card names them: paths, or URLs in the form of Dynamo's workers.
 * @throws DynError of `describeModelFiles`
 */
export async function cardFiles(
	modelPath: string,
	modelName: string,
	{ namespace, component, endpoint }: EndpointPath,
	{ cacheDirectory, baseUrl, files }: MetadataOptions,
	overrides: ModelFilesOptions,
): Promise<ModelFiles> {
	const here = await describeModelFiles(modelPath, cacheDirectory, overrides);
	if (baseUrl === undefined) return here;
	const folder = `/v1/metadata/${namespace}/${component}/${endpoint}/${slugOf(modelName)}/_base`;
	const there = Object.entries(here).map(([kind, file]: [string, CheckedFile | null]) => {
		if (file === null) return [kind, null];
		const path = `${folder}/${FILE_NAMES[kind as keyof ModelFiles]}`;
		files?.set(path, file.path);
		return [kind, { ...file, path: `${baseUrl.replace(/\/$/, "")}${path}` }];
	});
	return Object.fromEntries(there) as unknown as ModelFiles;
}
