// SPDX-License-Identifier: Apache-2.0
import { invalidArgument, type Logger, type Metrics } from "@dyn/common";
import {
	allowedTokensProcessor,
	bannedTokensProcessor,
	helloWorldProcessor,
	temperatureProcessor,
	tokenBiasProcessor,
} from "@dyn/logits";
import { createModelStore, createProgressRenderer, type ModelStore } from "@dyn/models/store";
import { parseEndpointPath } from "@dyn/runtime";
import { loadTokenizer } from "@dyn/text";
import {
	createTrtllmWorker,
	type HandlerMiddleware,
	limitRequests,
	loadEngineArgs,
	type TrtllmWorker,
	type TrtllmWorkerOptions,
} from "@dyn/trtllm";
import { trtllmWorkerOptions } from "./trtllm-worker.js";
import { parseObject, type Values } from "./values.js";

/** A model store that shows its progress on standard error. */
export function openModelStore(values: Values, logger: Logger): ModelStore {
	const renderer = createProgressRenderer(process.stderr, process.stderr.isTTY === true);
	const store = createModelStore({
		directory: values["modelStore"] as string | undefined,
		huggingFaceHome: values["hfHome"] as string | undefined,
		huggingFaceEndpoint: values["hfEndpoint"] as string | undefined,
		huggingFaceToken: values["hfToken"] as string | undefined,
		offline: values["offline"] as boolean | undefined,
		onProgress: renderer.onProgress,
		logger,
	});
	return {
		directory: store.directory,
		list: () => store.list(),
		remove: (model) => store.remove(model),
		resolve: (model, options) => store.resolve(model, options).finally(() => renderer.done()),
	};
}

/** Options as a worker. */
export async function startWorker(
	values: Values,
	shared: Pick<TrtllmWorkerOptions, "runtime" | "metrics" | "tracer" | "metadata" | "signal"> & {
		readonly logger: Logger;
		readonly metrics?: Metrics;
	},
): Promise<TrtllmWorker> {
	const modelStore = openModelStore(values, shared.logger);
	const kvBlockSize = values["kvBlockSize"];
	const publishesBoth = values["publishEventsAndMetrics"] === true;
	const limit = values["engineRequestLimit"] as number | undefined;
	if (values["disaggregationStrategy"] !== undefined)
		shared.logger.info(
			"--disaggregation-strategy has no effect: the frontend sends prompts to prefill workers first",
		);
	const override =
		values["overrideEngineArgs"] === undefined
			? {}
			: parseObject("--override-engine-args", values["overrideEngineArgs"] as string);
	const endpoint = values["endpoint"] as string | undefined;
	const path = endpoint?.includes(".")
		? parseEndpointPath(endpoint)
		: { endpoint, namespace: values["namespace"] as string, component: values["component"] as string };
	const common = {
		...shared,
		...path,
		modelStore,
		model: values["model"] as string | undefined,
		servedModelName: values["servedModelName"] as string | undefined,
		tokenizerPath: values["tokenizer"] as string | undefined,
		chatTemplatePath: values["chatTemplate"] as string | undefined,
		nativePath: values["nativePath"] as string | undefined,
		canaryWaitMs: values["canaryWait"] === undefined ? undefined : (values["canaryWait"] as number) * 1000,
		prefillCanary:
			values["prefillCanary"] === undefined
				? undefined
				: parseEndpointPath(values["prefillCanary"] as string),
		disaggregationMode: values["disaggregationMode"] as TrtllmWorkerOptions["disaggregationMode"],
		kvTransfer: {
			host: values["kvTransferHost"] as string | undefined,
			port: values["kvTransferPort"] as number | undefined,
		},
		publishKvEvents: publishesBoth || values["publishKvEvents"] === true,
		publishMetrics: publishesBoth || values["publishMetrics"] === true,
		middleware:
			limit === undefined ? [] : [limitRequests(limit, values["requestQueueLimit"] as number | undefined)],
	};
	const trtllm = await trtllmWorkerOptions(values, process.env);
	if (trtllm.engine) return createTrtllmWorker({ ...common, ...trtllm });
	const testProcessor = values["testLogitsProcessor"] === true ? await helloWorld(values, modelStore) : null;
	return createTrtllmWorker({
		...common,
		engineArgs: {
			max_batch_size: values["maxBatchSize"],
			max_num_tokens: values["maxNumTokens"],
			max_seq_len: values["maxSeqLen"],
			threads: values["threads"],
			quantization: values["quantization"],
			attention_dp_size: values["attentionDpSize"],
			speculative_mode: values["speculativeMode"],
			speculative_tokens: values["speculativeTokens"],
			draft_model: values["draftModel"],
			kv_cache_config: {
				free_gpu_memory_fraction: values["kvMemoryFraction"],
				...(kvBlockSize === undefined ? {} : { tokens_per_block: kvBlockSize }),
			},
		},
		extraEngineArgs: values["extraEngineArgs"]
			? await loadEngineArgs(values["extraEngineArgs"] as string)
			: {},
		overrideEngineArgs: override,
		loras: parseLoras((values["loras"] as readonly string[] | undefined) ?? []),
		logitsProcessors: {
			temperature: temperatureProcessor,
			"token-bias": tokenBiasProcessor,
			"allowed-tokens": allowedTokensProcessor,
			"banned-tokens": bannedTokensProcessor,
			...(testProcessor ? { [HELLO_WORLD]: testProcessor } : {}),
		},
		middleware: [...common.middleware, ...(testProcessor ? [withHelloWorld] : [])],
	});
}

/** @throws DynError INVALID_ARGUMENT naming what is no NAME=FOLDER */
function parseLoras(texts: readonly string[]): Readonly<Record<string, string>> {
	return Object.fromEntries(
		texts.map((text) => {
			const at = text.indexOf("=");
			if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
			throw invalidArgument("--lora", `--lora takes NAME=FOLDER, got ${JSON.stringify(text)}`);
		}),
	);
}

const HELLO_WORLD = "hello-world";

/** DYN_ENABLE_TEST_LOGITS_PROCESSOR: every request gets the processor, asked for or not. */
const withHelloWorld: HandlerMiddleware = (next) => ({
	name: next.name,
	generate: (request, context) =>
		next.generate(
			{ ...request, logitsProcessors: [...request.logitsProcessors, { name: HELLO_WORLD, args: null }] },
			context,
		),
});

async function helloWorld(values: Values, store: ModelStore) {
	const model = await store.resolve((values["model"] as string | undefined) ?? "smollm2-135m-instruct", {
		pull: true,
	});
	const tokenizer = await loadTokenizer((values["tokenizer"] as string | undefined) ?? model.path);
	const answer = await tokenizer.encode("Hello world!", { addSpecialTokens: false });
	return helloWorldProcessor([...answer, tokenizer.eosTokenIds[0] ?? 0]);
}
