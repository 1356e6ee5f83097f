// SPDX-License-Identifier: Apache-2.0

export type EndpointType = "chat" | "completions";

/**
 * What a worker publishes so that a frontend can serve its model: names, limits and where the tokenizer
 * and the template are. The wire form (Dynamo's model deployment card) is made from it by a codec.
 */
export interface ModelCard {
	/** The `model` of client requests. */
	readonly name: string;
	/** Folder or GGUF file with tokenizer and chat template. */
	readonly tokenizerPath: string;
	/** Path of a Jinja template that replaces the model's own, or null. */
	readonly chatTemplatePath: string | null;
	readonly endpointTypes: readonly EndpointType[];
	/** Most tokens of prompt plus completion. */
	readonly contextLength: number;
	readonly kvBlockSize: number;
	/** Per data-parallel rank. */
	readonly totalKvBlocks: number;
	readonly maxNumSeqs: number;
	readonly maxNumBatchedTokens: number;
	readonly dpSize: number;
	readonly eosTokenIds: readonly number[];
	/** Names that `nvext.logits_processors` may use. */
	readonly logitsProcessors: readonly string[];
	/** Whether log-probabilities can be asked for. */
	readonly logprobs: boolean;
	/** Seconds since the Unix epoch. */
	readonly createdSeconds: number;
}
