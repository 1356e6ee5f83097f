// SPDX-License-Identifier: Apache-2.0

/** What an engine is asked to embed: token ids in, one vector per input out. */
export interface EmbedRequest {
	readonly model: string;
	/** Token ids of each input, at least one of each. */
	readonly inputs: readonly (readonly number[] | Uint32Array)[];
	/** Keep this many leading values of each vector and normalise again. null = all of them. */
	readonly dimensions: number | null;
	/** The rank that is to compute it. null = any. */
	readonly dpRank: number | null;
}

export interface EmbedOutput {
	/** In the order of the inputs, each of length 1 (Euclidean). */
	readonly embeddings: readonly Float32Array[];
	readonly promptTokens: number;
}

/** Whether a request to a worker's endpoint asks for embeddings and not for tokens. */
export function isEmbedRequest(request: unknown): request is EmbedRequest {
	return typeof request === "object" && request !== null && Object.hasOwn(request, "inputs");
}
