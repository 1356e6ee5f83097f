// SPDX-License-Identifier: Apache-2.0

export type EndpointType = "chat" | "completions" | "embeddings";

/** What a worker does in a deployment. */
export type WorkerType = "aggregated" | "prefill" | "decode" | "encode";

/** A file that whoever reads the card can check after fetching it. */
export interface CheckedFile {
	/** Path on the worker's machine, or an http(s) URL. */
	readonly path: string;
	/** `blake3:` and 64 hex digits. */
	readonly checksum: string;
	readonly sizeBytes: number | null;
}

/** Hugging Face files from which tokenizer, template and limits can be had without the weights. */
export interface ModelFiles {
	/** config.json */
	readonly config: CheckedFile;
	/** tokenizer.json */
	readonly tokenizer: CheckedFile;
	/** tokenizer_config.json, with the chat template when there is no file of its own. */
	readonly tokenizerConfig: CheckedFile | null;
	readonly generationConfig: CheckedFile | null;
	readonly chatTemplate: CheckedFile | null;
}

/**
 * What a worker publishes so that a frontend can serve its model: names, limits and where the tokenizer
 * and the template are. The wire form (Dynamo's model deployment card) is made from it by a codec.
 */
export interface ModelCard {
	/** The `model` of client requests. */
	readonly name: string;
	/**
	 * Where tokenizer and template are from, as the worker was told: a name, org/name or a path. Dynamo takes workers into one
	 * endpoint only when they say the same, so it is not the path that this becomes on a machine.
	 */
	readonly source: string;
	/** Folder or GGUF file with tokenizer and chat template, on the worker's machine; null when only `files` are known. */
	readonly tokenizerPath: string | null;
	/** The same as files that travel; null when the card does not leave the process. */
	readonly files: ModelFiles | null;
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
	/** Most choices of one request; a frontend sends several requests for more. */
	readonly maxChoices: number;
	/** Whether a guided answer that another worker began can be continued by this one. Absent: no. */
	readonly resumesGuided?: boolean;
	/** Whether the worker tells routers what enters and leaves its KV cache. Absent: no. */
	readonly publishesKvEvents?: boolean;
	/** Whether it also answers routers that ask for all of it. Absent: no. */
	readonly answersKvQueries?: boolean;
	/** The LoRA adapter that requests under this name are for; the same instance has a card of the model alone too. Absent: none. */
	readonly lora?: string;
	readonly workerType: WorkerType;
	/** Whether a decode worker does the prefill too when a request says so. */
	readonly localPrefill: boolean;
	/** Roles that must also be served, as alternatives of sets: [["prefill", "decode"], ["aggregated"]]. */
	readonly needs: readonly (readonly WorkerType[])[];
	/** Seconds since the Unix epoch. */
	readonly createdSeconds: number;
}
