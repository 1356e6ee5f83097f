// SPDX-License-Identifier: Apache-2.0

/**
 * Plain JSON. Integers beyond 2^53 may be bigint (see `parseJson`); OpenEngine's attributes know only doubles and say such
 * integers as decimal strings.
 */
export type JsonValue =
	| null
	| boolean
	| number
	| bigint
	| string
	| readonly JsonValue[]
	| { readonly [name: string]: JsonValue };

/** Where KV blocks can be fetched. */
export interface KvEndpoint {
	readonly host: string;
	readonly port: number;
	/** What is spoken there; the engines' business. */
	readonly protocol: string;
}

/**
 * KV blocks that a prefill engine holds for a decode engine (OpenEngine: KvSessionRef). The engines own the meaning:
 * whoever carries it between them changes nothing. Carried as JSON it is Dynamo's `disaggregated_params`.
 */
export interface KvSession {
	readonly sessionId: string;
	/** Name of the way the blocks travel, such as "NIXL". */
	readonly transferBackend: string;
	readonly endpoints: readonly KvEndpoint[];
	/** Rank that holds the blocks. */
	readonly dpRank: number;
	readonly attributes: Readonly<Record<string, JsonValue>>;
}

/**
 * The part of a request that this engine does when prefill and decode are apart; null means both.
 * `prefill`: computes the prompt's KV and one token, and ends with a `kvSession` instead of going on.
 * `decode`: takes the prompt's KV from `session` and yields all tokens, the first included.
 */
export type Disaggregation =
	| { readonly role: "prefill" }
	| { readonly role: "decode"; readonly session: KvSession };
