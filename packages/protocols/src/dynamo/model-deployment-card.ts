// SPDX-License-Identifier: Apache-2.0
import type { CheckedFile, EndpointType, ModelCard, ModelFiles, WorkerType } from "../model-card.js";
import { PlainData } from "./plain-data.js";

/**
 * A card as Dynamo's model deployment card. What Dynamo has no field for is under `dyn`, which its readers skip.
 * Dynamo accepts a card only with `files`; without them it is for peers of this project on the same machine.
 */
export function encodeModelCard(card: ModelCard): Record<string, unknown> {
	const { files } = card;
	return {
		display_name: card.name,
		slug: slugOf(card.name),
		source_path: card.source,
		...(files ? encodeFiles(files, card.chatTemplatePath !== null) : {}),
		architectural_max_context_length: card.contextLength,
		context_length: card.contextLength,
		kv_cache_block_size: card.kvBlockSize,
		migration_limit: 0,
		model_type: card.workerType === "prefill" ? "Prefill" : modelTypes(card.endpointTypes),
		model_input: "Tokens",
		worker_type: card.workerType,
		...(card.lora === undefined ? {} : { lora: { name: card.lora } }),
		needs: card.needs,
		runtime_config: {
			context_length: card.contextLength,
			total_kv_blocks: card.totalKvBlocks,
			max_num_seqs: card.maxNumSeqs,
			max_num_batched_tokens: card.maxNumBatchedTokens,
			tool_call_parser: null,
			reasoning_parser: null,
			exclude_tools_when_tool_choice_none: true,
			data_parallel_start_rank: 0,
			data_parallel_size: card.dpSize,
			enable_local_indexer: card.answersKvQueries ?? false,
			kv_event_publishing_enabled: card.publishesKvEvents ?? false,
			...(card.localPrefill ? { local_prefill: true } : {}),
			runtime_data: {},
			enable_eagle: false,
		},
		dyn: {
			tokenizer_path: card.tokenizerPath,
			chat_template_path: card.chatTemplatePath,
			eos_token_ids: card.eosTokenIds,
			logits_processors: card.logitsProcessors,
			logprobs: card.logprobs,
			max_choices: card.maxChoices,
			...(card.resumesGuided ? { resumes_guided: true } : {}),
			endpoint_types: card.endpointTypes,
			created_seconds: card.createdSeconds,
		},
	};
}

/** @throws DynError INVALID_ARGUMENT naming the field that has a wrong type or is missing */
export function decodeModelCard(data: unknown): ModelCard {
	const card = new PlainData(data, "card");
	const config = card.object("runtime_config");
	const own = card.object("dyn");
	const needs = (card.array("needs") ?? []) as readonly (readonly WorkerType[])[];
	// 0 is what stock workers say when they do not limit it themselves.
	const contextLength =
		config.number("context_length") ||
		card.number("context_length") ||
		card.number("architectural_max_context_length") ||
		0;
	const name = card.required("display_name", card.string("display_name"));
	return {
		name,
		source: card.string("source_path") ?? name,
		tokenizerPath: own.string("tokenizer_path"),
		files: decodeFiles(card),
		chatTemplatePath: own.string("chat_template_path"),
		endpointTypes: endpointTypes(card.string("model_type") ?? "", own.strings("endpoint_types") ?? []),
		contextLength,
		kvBlockSize: card.required("kv_cache_block_size", card.number("kv_cache_block_size")),
		totalKvBlocks: config.number("total_kv_blocks") ?? 0,
		maxNumSeqs: config.number("max_num_seqs") ?? 0,
		maxNumBatchedTokens: config.number("max_num_batched_tokens") ?? 0,
		dpSize: config.number("data_parallel_size") ?? 1,
		eosTokenIds: own.tokenIds("eos_token_ids") ?? [],
		logitsProcessors: own.strings("logits_processors") ?? [],
		logprobs: own.boolean("logprobs") ?? true,
		maxChoices: own.number("max_choices") ?? 1,
		...(own.boolean("resumes_guided") ? { resumesGuided: true } : {}),
		...(config.boolean("kv_event_publishing_enabled") ? { publishesKvEvents: true } : {}),
		...(config.boolean("enable_local_indexer") ? { answersKvQueries: true } : {}),
		...(card.has("lora")
			? { lora: card.object("lora").required("name", card.object("lora").string("name")) }
			: {}),
		workerType: (card.string("worker_type") as WorkerType | null) ?? "aggregated",
		localPrefill: config.boolean("local_prefill") ?? false,
		needs,
		createdSeconds: own.number("created_seconds") ?? 0,
	};
}

const MODEL_TYPES: readonly [EndpointType, string][] = [
	["chat", "Chat"],
	["completions", "Completions"],
	["embeddings", "Embedding"],
];

/**
 * Dynamo takes workers of one model apart whose types differ, and its own that generate make no embeddings: one that does
 * both says so to Dynamo only of generation.
 */
function modelTypes(types: readonly EndpointType[]): string {
	const generating = types.filter((type) => type !== "embeddings");
	const told = generating.length > 0 ? generating : types;
	return told.map((type) => MODEL_TYPES.find(([ours]) => ours === type)![1]).join(" | ");
}

/** @param own what a worker of this project says beyond Dynamo's types */
function endpointTypes(modelTypes: string, own: readonly string[]): readonly EndpointType[] {
	const names = modelTypes.split("|").map((name) => name.trim());
	return MODEL_TYPES.filter(([ours, theirs]) => names.includes(theirs) || own.includes(ours)).map(
		([ours]) => ours,
	);
}

/** Lower-case letters, digits, - and _ only. */
export function slugOf(name: string): string {
	return name.toLowerCase().replace(/[^a-z0-9_-]/g, "_");
}

function encodeFiles(files: ModelFiles, isCustomTemplate: boolean): Record<string, unknown> {
	const wire = (file: CheckedFile) => ({
		path: file.path,
		checksum: file.checksum,
		...(file.sizeBytes === null ? {} : { size: file.sizeBytes }),
	});
	return {
		model_info: { hf_config_json: wire(files.config) },
		tokenizer: { hf_tokenizer_json: wire(files.tokenizer) },
		...(files.tokenizerConfig
			? { prompt_formatter: { hf_tokenizer_config_json: wire(files.tokenizerConfig) } }
			: {}),
		...(files.chatTemplate
			? {
					chat_template_file: {
						hf_chat_template: { is_custom: isCustomTemplate, file: wire(files.chatTemplate) },
					},
				}
			: {}),
		...(files.generationConfig
			? { gen_config: { hf_generation_config_json: wire(files.generationConfig) } }
			: {}),
	};
}

function decodeFiles(card: PlainData): ModelFiles | null {
	const file = (holder: PlainData, name: string): CheckedFile | null => {
		if (!holder.has(name)) return null;
		const fields = holder.object(name);
		return {
			path: fields.required("path", fields.string("path")),
			checksum: fields.required("checksum", fields.string("checksum")),
			sizeBytes: fields.number("size"),
		};
	};
	const config = file(card.object("model_info"), "hf_config_json");
	const tokenizer = file(card.object("tokenizer"), "hf_tokenizer_json");
	if (!config || !tokenizer) return null;
	const template = card.object("chat_template_file");
	const templateHolder = ["hf_chat_template", "hf_chat_template_jinja", "hf_chat_template_json"].find(
		(name) => template.has(name),
	);
	return {
		config,
		tokenizer,
		tokenizerConfig: file(card.object("prompt_formatter"), "hf_tokenizer_config_json"),
		generationConfig: file(card.object("gen_config"), "hf_generation_config_json"),
		chatTemplate: templateHolder ? file(template.object(templateHolder), "file") : null,
	};
}
