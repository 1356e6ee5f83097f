// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { loadEngineArgs } from "@dyn/trtllm";
import { type Environment, parseDynamicArgs, type ServeOptions } from "@dyn/trtllm/serve";
import { parseObject, type Values } from "./values.js";

/**
 * Options of the TensorRT-LLM table as the options of a trtllm-serve.
 * @param environment what the engine will inherit
 * @throws DynError INVALID_ARGUMENT naming the option: a YAML file that cannot be read, JSON that is none, a contradiction
 */
export async function serveOptions(values: Values, environment: Environment): Promise<ServeOptions> {
	const value = <Name extends keyof ServeOptions>(name: string) => values[name] as ServeOptions[Name];
	const both = values["publishEventsAndMetrics"] === true;
	return {
		model: value<"model">("model") ?? "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
		protocol: value<"protocol">("engineProtocol"),
		host: value<"host">("engineHost"),
		port: (values["enginePort"] as number | undefined) ?? 50_051,
		disaggregationMode: value<"disaggregationMode">("disaggregationMode"),
		modality: modalityOf(values),
		tensorParallelSize: value<"tensorParallelSize">("tensorParallelSize"),
		pipelineParallelSize: value<"pipelineParallelSize">("pipelineParallelSize"),
		expertParallelSize: value<"expertParallelSize">("expertParallelSize"),
		enableAttentionDp: value<"enableAttentionDp">("enableAttentionDp"),
		gpusPerNode: value<"gpusPerNode">("gpusPerNode"),
		kvBlockSize: value<"kvBlockSize">("kvBlockSize"),
		maxBatchSize: value<"maxBatchSize">("maxBatchSize"),
		maxNumTokens: value<"maxNumTokens">("maxNumTokens"),
		maxSeqLen: value<"maxSeqLen">("maxSeqLen"),
		maxBeamWidth: value<"maxBeamWidth">("maxBeamWidth"),
		freeGpuMemoryFraction: value<"freeGpuMemoryFraction">("kvMemoryFraction"),
		loadFormat: value<"loadFormat">("loadFormat"),
		guidedDecodingBackend: value<"guidedDecodingBackend">("guidedDecodingBackend"),
		publishKvEvents: both || value<"publishKvEvents">("publishKvEvents"),
		publishMetrics: both || value<"publishMetrics">("publishMetrics"),
		kvEventsEndpoint: value<"kvEventsEndpoint">("kvEventsEndpoint"),
		otlpTracesEndpoint: tracesEndpoint(environment),
		logitsProcessors: value<"logitsProcessors">("testLogitsProcessor"),
		extraEngineArgs: values["extraEngineArgs"]
			? await loadEngineArgs(values["extraEngineArgs"] as string)
			: undefined,
		overrideEngineArgs: values["overrideEngineArgs"]
			? parseObject("--override-engine-args", values["overrideEngineArgs"] as string)
			: undefined,
		dynamicEngineArgs: parseDynamicArgs((values["trtllmArgs"] as readonly string[] | undefined) ?? []),
		environment,
	};
}

/** Engine options of Dynamo that trtllm-serve has no field for that we know of. */
const IN_YAML_ONLY = [
	"modelLoaderExtraConfig",
	"quantAlgo",
	"quantDynamic",
	"enableTeacache",
	"teacacheUseRetSteps",
	"teacacheThresh",
	"torchDtype",
	"revision",
	"disableTorchCompile",
	"enableFullgraph",
	"enableCudaGraph",
	"attnBackend",
	"ditUlyssesSize",
	"ditRingSize",
	"ditCfgSize",
	"enableLayerwiseNvtxMarker",
	"skipWarmup",
];

/** Keys of the options that were given but do not reach the engine. */
export function optionsWithoutEffect(values: Values): readonly string[] {
	return IN_YAML_ONLY.filter((name) => values[name] !== undefined);
}

function modalityOf(values: Values): ServeOptions["modality"] {
	const modality = values["modality"] as ServeOptions["modality"];
	if (values["enableMultimodal"] !== true) return modality;
	if (modality?.endsWith("_diffusion"))
		throw new DynError(
			"INVALID_ARGUMENT",
			`--enable-multimodal is for models that read media, but --modality ${modality} makes them; leave one out`,
		);
	return "multimodal";
}

/** Dynamo's two switches and OpenTelemetry's variable; the engine exports over gRPC, to port 4317 unless told. */
function tracesEndpoint(environment: Environment): string | undefined {
	const on = [environment["DYN_LOGGING_JSONL"], environment["OTEL_EXPORT_ENABLED"]];
	return on.every((text) => /^(1|true|yes|on)$/i.test(text ?? ""))
		? (environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] ?? "http://localhost:4317")
		: undefined;
}
