// SPDX-License-Identifier: Apache-2.0
import type { Checkpoint } from "../checkpoint/checkpoint.js";
import { GgufMetadata } from "../gguf/gguf-metadata.js";
import { ggufTokenIds, ggufTokenizer } from "../gguf/gguf-tokenizer.js";

/** File name → JSON document. */
export type Documents = ReadonlyMap<string, Readonly<Record<string, unknown>>>;

/** Class names of `architectures` in config.json by `general.architecture`, whose names are also its `model_type`. */
const CLASSES: ReadonlyMap<string, string> = new Map([
	["llama", "LlamaForCausalLM"],
	["qwen2", "Qwen2ForCausalLM"],
	["qwen3", "Qwen3ForCausalLM"],
]);

/**
 * config.json and generation_config.json of a GGUF file, for those who want a model's kind, sizes and token ids: how
 * positions are scaled has no place in the metadata, so the weights cannot be run from it. Keys as written by
 * llama.cpp's converter (gguf-py constants).
 * @throws DynError MODEL_FORMAT
 */
export function configDocuments({ path, metadata, tensors }: Checkpoint): Documents {
	const read = new GgufMetadata(path, metadata);
	const architecture = read.string("general.architecture") ?? "(none)";
	const className = CLASSES.get(architecture);
	if (className === undefined)
		read.fail(
			`general.architecture ${JSON.stringify(architecture)} cannot be described; supported: ${[...CLASSES.keys()].join(", ")}`,
		);
	const count = (name: string, fallback?: number): number => read.count(`${architecture}.${name}`, fallback);
	const real = (name: string, fallback?: number): number =>
		Number(read.positive(`${architecture}.${name}`, fallback).toPrecision(7)); // stored as f32
	const tokens = read.strings("tokenizer.ggml.tokens");
	const { bosTokenId, eosTokenIds } = ggufTokenIds(read, tokens.length);
	const ends = {
		...(bosTokenId === null ? {} : { bos_token_id: bosTokenId }),
		...(eosTokenIds.length === 0
			? {}
			: { eos_token_id: eosTokenIds.length === 1 ? eosTokenIds[0] : eosTokenIds }),
	};
	const heads = count("attention.head_count");
	const hiddenSize = count("embedding_length");
	const config = {
		architectures: [className],
		model_type: architecture,
		hidden_size: hiddenSize,
		intermediate_size: count("feed_forward_length"),
		num_hidden_layers: count("block_count"),
		num_attention_heads: heads,
		num_key_value_heads: count("attention.head_count_kv", heads),
		head_dim: count("attention.key_length", hiddenSize / heads),
		vocab_size: tensors.get("token_embd.weight")?.shape[0] ?? tokens.length,
		max_position_embeddings: count("context_length"),
		rope_theta: real("rope.freq_base", 10_000),
		rms_norm_eps: real("attention.layer_norm_rms_epsilon"),
		tie_word_embeddings: !tensors.has("output.weight"),
		...ends,
	};
	return new Map<string, Record<string, unknown>>([
		["config.json", config],
		["generation_config.json", ends],
	]);
}

/**
 * tokenizer.json and tokenizer_config.json of a GGUF file.
 * @throws DynError MODEL_FORMAT
 */
export function tokenizerDocuments({ path, metadata }: Checkpoint): Documents {
	const read = new GgufMetadata(path, metadata);
	const { document, bosTokenId, eosTokenIds } = ggufTokenizer(read);
	checkMerges(read, document["model"] as BpeModel);
	const tokens = read.strings("tokenizer.ggml.tokens");
	const named = (name: string, id: number | null | undefined): Record<string, unknown> =>
		id === null || id === undefined ? {} : { [name]: tokens[id] };
	const template = read.string("tokenizer.chat_template");
	const toolTemplate = read.string("tokenizer.chat_template.tool_use");
	const templates = [
		{ name: "default", template },
		{ name: "tool_use", template: toolTemplate },
	].filter((each) => each.template !== undefined);
	const config = {
		tokenizer_class: "PreTrainedTokenizerFast",
		...named("bos_token", bosTokenId),
		...named("eos_token", eosTokenIds[0]),
		...(templates.length === 0 ? {} : { chat_template: toolTemplate === undefined ? template : templates }),
	};
	return new Map<string, Record<string, unknown>>([
		["tokenizer.json", document],
		["tokenizer_config.json", config],
	]);
}

interface BpeModel {
	readonly vocab: Readonly<Record<string, number>>;
	readonly merges: readonly (readonly [string, string])[];
}

/** What is written is read by programs that may end when a merge names no token. */
function checkMerges(read: GgufMetadata, { vocab, merges }: BpeModel): void {
	for (const [index, [left, right]] of merges.entries())
		if (![left, right, left + right].every((token) => Object.hasOwn(vocab, token)))
			read.fail(`tokenizer.ggml.merges[${index}] is not two tokens that make a third`);
}
