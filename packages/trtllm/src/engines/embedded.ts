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
 */
export function embeddedEngine(
	modelPath: string,
	modelName: string,
	options: TrtllmWorkerOptions,
	logger: Logger,
	kvTransfer: KvTransferAgent | null,
): Engine {
	const args = mergeEngineArgs(
		options.engineArgs ?? {},
		options.extraEngineArgs ?? {},
		options.overrideEngineArgs ?? {},
		logger,
	);
	return createEmbeddedEngine({
		...embeddedEngineArgs(args),
		modelPath,
		modelName,
		nativePath: options.nativePath,
		...(kvTransfer ? { kvTransfer } : {}),
		logitsProcessors: options.logitsProcessors,
		logger,
		metrics: options.metrics ?? noMetrics,
	});
}
