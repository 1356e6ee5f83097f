// SPDX-License-Identifier: Apache-2.0
import { type Logger, noMetrics } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { KvTransferAgent } from "@dyn/kvbm/transfer";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { embeddedEngineArgs } from "../engine-args/embedded-engine-args.js";
import { mergeEngineArgs } from "../engine-args/merge-engine-args.js";
import type { TrtllmWorkerOptions } from "../worker-options.js";

/**
 * The engine of this process, told what TensorRT-LLM would be told.
 * @param kvTransfer for one half of a deployment whose prefill and decode are apart
 * @param resolveModel path of a model that an argument names
 */
export async function embeddedEngine(
	modelPath: string,
	modelName: string,
	options: TrtllmWorkerOptions,
	logger: Logger,
	kvTransfer: KvTransferAgent | null,
	resolveModel: (model: string) => Promise<string>,
): Promise<Engine> {
	const args = mergeEngineArgs(
		options.engineArgs ?? {},
		options.extraEngineArgs ?? {},
		options.overrideEngineArgs ?? {},
		logger,
	);
	const { draftModelPath: draft, ...limits } = embeddedEngineArgs(args);
	return createEmbeddedEngine({
		...limits,
		draftModelPath: draft === undefined ? undefined : await resolveModel(draft),
		modelPath,
		modelName,
		nativePath: options.nativePath,
		...(kvTransfer ? { kvTransfer } : {}),
		logitsProcessors: options.logitsProcessors,
		logger,
		metrics: options.metrics ?? noMetrics,
	});
}
