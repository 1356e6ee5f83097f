// SPDX-License-Identifier: Apache-2.0
import type { KvSession, TokenLogprobs } from "@dyn/protocols";

/** What a server of TensorRT-LLM says about one choice, whatever the protocol. */
export type ServerEvent =
	| {
			readonly type: "tokens";
			readonly index: number;
			/** New ones. */
			readonly tokenIds: readonly number[];
			/** One per token, or null when there are none. */
			readonly logprobs: readonly TokenLogprobs[] | null;
	  }
	| {
			readonly type: "end";
			readonly index: number;
			/** The server's word. */
			readonly reason: string;
			/** The id that ended it, where the server says it. */
			readonly stopTokenId: number | null;
			readonly cachedTokens: number;
			readonly kvSession?: KvSession;
	  }
	/** Comes before any token. */
	| { readonly type: "prompt"; readonly logprobs: readonly (TokenLogprobs | null)[] };
