// SPDX-License-Identifier: Apache-2.0
import type { GenerateRequestInit } from "@dyn/protocols";
import type { RequestFeature } from "../request-features.js";

const session = { sessionId: "1", transferBackend: "X", endpoints: [], dpRank: 0, attributes: {} };
/** The smallest request for each feature. */
export const EXAMPLES: Readonly<Record<RequestFeature, Omit<GenerateRequestInit, "tokenIds">>> = {
	logit_bias: { sampling: { logitBias: new Map([[1, 1]]) } },
	bad_words: { sampling: { badWords: [[1, 2]] } },
	best_of: { sampling: { n: 2, bestOf: 3 } },
	beam_search: { sampling: { beamWidth: 2 } },
	length_penalty: { sampling: { lengthPenalty: 2 } },
	visible_stop_token_ids: { stop: { visibleStopTokenIds: [1] } },
	prompt_logprobs: { output: { promptLogprobs: 0 } },
	logits_processors: { logitsProcessors: [{ name: "p", args: null }] },
	guided_json_schema: { guided: { kind: "json_schema", schema: "{}" } },
	guided_json_object: { guided: { kind: "json_object" } },
	guided_regex: { guided: { kind: "regex", pattern: "a" } },
	guided_grammar: { guided: { kind: "grammar", ebnf: "a" } },
	guided_structural_tag: { guided: { kind: "structural_tag", tag: "{}" } },
	guided_choice: { guided: { kind: "choice", choices: ["a"] } },
	priority: { routing: { priority: -1 } },
	dp_rank: { routing: { dpRank: 0 } },
	cache_salt: { routing: { cacheSalt: "s" } },
	bypass_prefix_cache: { routing: { bypassPrefixCache: true } },
	conversation_id: { routing: { conversationId: "c" } },
	lora: { lora: "l" },
	image: { media: [{ modality: "image", source: { url: "u" } }] },
	video: { media: [{ modality: "video", source: { url: "u" } }] },
	audio: { media: [{ modality: "audio", source: { url: "u" } }] },
	prefill: { disaggregation: { role: "prefill" } },
	decode: { disaggregation: { role: "decode", session } },
};
