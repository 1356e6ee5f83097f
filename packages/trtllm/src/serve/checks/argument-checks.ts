// SPDX-License-Identifier: Apache-2.0
// Arguments that are gone or contradict each other.
import { LAST_WITH_EXECUTOR } from "../engine-version.js";
import { isDiffusion } from "../serve-options.js";
import { type Check, error, numberAt } from "./finding.js";

/** Arguments of the TensorRT backend and its engine builder. */
const OF_THE_BUILDER = ["build_config", "engine_dir", "auto_parallel", "enable_build_cache"];

const tensorrtBackend: Check = ({ args }) => {
	const gone = ["tensorrt", "trt"].includes(String(args["backend"]))
		? `backend: ${args["backend"]}`
		: OF_THE_BUILDER.find((name) => args[name] !== undefined);
	return gone === undefined
		? null
		: error(
				"tensorrt-backend-removed",
				`${gone} belongs to prebuilt TensorRT engines and the C++ executor API, whose last version was TensorRT-LLM ${LAST_WITH_EXECUTOR}`,
				"leave it out and pass the checkpoint itself with --model",
			);
};

const prebuiltEngine: Check = ({ engine }) =>
	!engine.modelFiles?.some((name) => name.endsWith(".engine"))
		? null
		: error(
				"prebuilt-engine",
				`the model's folder holds a prebuilt TensorRT engine, which no version after ${LAST_WITH_EXECUTOR} can load`,
				"pass the folder or the id of the checkpoint that it was built from with --model",
			);

const isGguf = (name: string) => /\.gguf$/i.test(name);

/** A command of one's own may start anything, also a stand-in that reads no weights. */
const ggufModel: Check = ({ options, engine }) => {
	if (options.command !== undefined && engine.version === undefined) return null;
	const files = engine.modelFiles ?? [];
	return !isGguf(options.model) && (files.includes("config.json") || !files.some(isGguf))
		? null
		: error(
				"gguf-model",
				`${options.model} is GGUF, which TensorRT-LLM does not load`,
				"pass a Hugging Face checkpoint (a folder with config.json and safetensors, or its id) with --model, or serve this one with --engine embedded",
			);
};

const oneOverride: Check = ({ options }) =>
	isEmpty(options.overrideEngineArgs) || isEmpty(options.dynamicEngineArgs)
		? null
		: error(
				"override-conflict",
				"--override-engine-args and --trtllm flags both want the last word",
				"put all of it into one of them",
			);

const isEmpty = (args: object | undefined) => args === undefined || Object.keys(args).length === 0;

const roleOfDiffusion: Check = ({ options }) =>
	!isDiffusion(options) || ["agg", undefined].includes(options.disaggregationMode)
		? null
		: error(
				"diffusion-with-role",
				`--modality ${options.modality} generates in one process, but --disaggregation-mode is ${options.disaggregationMode}`,
				"leave --disaggregation-mode out",
			);

const beamsWithProcessors: Check = ({ options, args }) =>
	!options.logitsProcessors || numberAt(args, "max_beam_width", 1) <= 1
		? null
		: error(
				"beams-with-logits-processors",
				"a logits processor sees one sequence per request, but max_beam_width allows several beams",
				"set --max-beam-width 1",
			);

export const argumentChecks: readonly Check[] = [
	tensorrtBackend,
	prebuiltEngine,
	ggufModel,
	oneOverride,
	roleOfDiffusion,
	beamsWithProcessors,
];
