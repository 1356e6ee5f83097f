// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import type { TrtllmWorkerOptions } from "@dyn/trtllm";
import type { Environment } from "@dyn/trtllm/serve";
import { serveOptions } from "./serve-options.js";
import type { Values } from "./values.js";

/** Starts the stand-in for trtllm-serve, which takes the same arguments. */
const double = (): readonly string[] => {
	const manifest = createRequire(import.meta.url).resolve("@dyn/mocker/package.json");
	return [process.execPath, join(dirname(manifest), "dist", "bin", "trtllm-serve-double.js")];
};
/** Where there is a Python the double ends with this process even when that is killed, as the real one does. */
const python = (environment: Environment): string | undefined =>
	(environment["PATH"] ?? "")
		.split(delimiter)
		.map((folder) => join(folder, "python3"))
		.find(existsSync);
/** Context of a stand-in that nobody told another. */
const DOUBLE_CONTEXT = 8192;

/** What `--engine trtllm` and `--engine double` are for a worker; nothing for other engines. */
export async function trtllmWorkerOptions(
	values: Values,
	environment: Environment,
): Promise<Pick<TrtllmWorkerOptions, "engine" | "model" | "trtllm">> {
	const isDouble = values["engine"] === "double";
	if (values["engine"] !== "trtllm" && !isDouble) return {};
	const {
		model,
		disaggregationMode: _,
		environment: __,
		port,
		...serve
	} = await serveOptions(values, environment);
	const deadlineSeconds = values["engineStartupDeadline"] as number | undefined;
	return {
		engine: "trtllm",
		model: values["model"] === undefined && isDouble ? undefined : model,
		trtllm: {
			environment,
			grpcEndpoint: values["grpcEndpoint"] as string | undefined,
			conversationAffinity: values["conversationAffinity"]
				? (values["conversationAffinityDpRankSource"] as "engine" | "dynamo")
				: undefined,
			python: (values["trtllmPython"] as string | undefined) ?? (isDouble ? python(environment) : undefined),
			startupDeadlineMs: deadlineSeconds === undefined ? undefined : deadlineSeconds * 1000,
			serve: isDouble
				? {
						...serve,
						command: double(),
						maxSeqLen: serve.maxSeqLen ?? DOUBLE_CONTEXT,
						port: (values["enginePort"] as number | undefined) ?? 0,
					}
				: { ...serve, port },
		},
	};
}
