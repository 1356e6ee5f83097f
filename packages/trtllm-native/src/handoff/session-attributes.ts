// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { KvSession } from "@dyn/protocols";

/** What a decode engine must know of a prefill besides where its blocks are. */
export interface SessionAttributes {
	/** How values lie in a block; both engines must agree. */
	readonly kvLayout: string;
	/** Tokens of the prompt. */
	readonly promptTokens: number;
	/** Blocks that can be fetched: full ones, the prompt's first. */
	readonly numBlocks: number;
	/** Sequence hash of the last of them, so that blocks of another prompt are not taken for this one's; null without any. */
	readonly lastHash: bigint | null;
	/** Tokens of the prompt that the prefill engine had cached. */
	readonly cachedTokens: number;
	/** Of the sampler, when the request named none: the decode engine draws the same first token. */
	readonly seed: number | null;
	readonly firstTokens: readonly number[];
}

/** Integers beyond 2^53 as decimal strings: attributes may travel as doubles. */
export function encodeAttributes(attributes: SessionAttributes): KvSession["attributes"] {
	const { lastHash } = attributes;
	return {
		kv_layout: attributes.kvLayout,
		prompt_tokens: attributes.promptTokens,
		num_blocks: attributes.numBlocks,
		last_hash: lastHash === null ? null : lastHash.toString(),
		cached_tokens: attributes.cachedTokens,
		seed: attributes.seed,
		first_gen_tokens: attributes.firstTokens,
	};
}

/** @throws DynError INVALID_ARGUMENT for a session that no engine of this kind made */
export function decodeAttributes({ attributes, sessionId }: KvSession): SessionAttributes {
	const bad = (name: string) =>
		invalidArgument(
			"disaggregated_params",
			`the session ${sessionId} has no usable ${name}; it must come from a prefill worker of the same kind`,
		);
	const count = (name: string): number => {
		const value = attributes[name];
		if (!Number.isSafeInteger(value) || (value as number) < 0) throw bad(name);
		return value as number;
	};
	// What is null may be absent.
	const { kv_layout: kvLayout, last_hash: lastHash = null, seed = null } = attributes;
	const firstTokens = attributes["first_gen_tokens"];
	if (typeof kvLayout !== "string") throw bad("kv_layout");
	if (lastHash !== null && !(typeof lastHash === "string" && /^\d{1,20}$/.test(lastHash)))
		throw bad("last_hash");
	if (seed !== null && !Number.isSafeInteger(seed)) throw bad("seed");
	if (!Array.isArray(firstTokens) || !firstTokens.every(Number.isSafeInteger)) throw bad("first_gen_tokens");
	return {
		kvLayout,
		promptTokens: count("prompt_tokens"),
		numBlocks: count("num_blocks"),
		lastHash: lastHash === null ? null : BigInt(lastHash),
		cachedTokens: count("cached_tokens"),
		seed: seed as number | null,
		firstTokens,
	};
}
