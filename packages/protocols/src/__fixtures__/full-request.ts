// SPDX-License-Identifier: Apache-2.0
import type { GenerateRequestInit } from "../generate-request.js";
import type { KvSession } from "../kv-session.js";

/** A session with attributes of every kind. */
export const SESSION: KvSession = {
	sessionId: "9007199254740993",
	transferBackend: "NIXL",
	endpoints: [{ host: "10.0.0.1", port: 65535, protocol: "tcp" }],
	dpRank: 3,
	attributes: {
		disagg_request_id: "18446744073709551615",
		ttft: 12.5,
		whole: 2 ** 60,
		first_gen_tokens: [1, [2.5, null], { deep: true }],
	},
};

/** A request that says something of everything. */
export const FULL_REQUEST: GenerateRequestInit = {
	model: "m",
	tokenIds: [1, 2, 3],
	eosTokenIds: [2],
	sampling: {
		n: 2,
		temperature: 0.5,
		topP: 0.9,
		topK: 5,
		minP: 0.1,
		presencePenalty: 1,
		frequencyPenalty: 0.5,
		repetitionPenalty: 1.5,
		seed: 7,
		logitBias: new Map([[4, -1]]),
		badWords: [[5], [6, 7]],
		bestOf: 3,
		beamWidth: 4,
		lengthPenalty: 0.5,
	},
	stop: {
		maxTokens: 9,
		minTokens: 2,
		stopTokenIds: [8],
		visibleStopTokenIds: [9],
		stopStrings: ["END"],
		ignoreEos: false,
	},
	output: { logprobs: 3, promptLogprobs: 1 },
	routing: {
		priority: 4,
		dpRank: 1,
		cacheSalt: "s",
		bypassPrefixCache: true,
		conversationId: "c",
		bypassRemotePrefill: true,
	},
	guided: { kind: "regex", pattern: "a" },
	lora: "adapter",
	media: [
		{ modality: "image", source: { url: "https://a/b.png" } },
		{ modality: "audio", source: { dataUri: "data:audio/wav;base64,AA==" } },
	],
	disaggregation: { role: "decode", session: SESSION },
	resumedTokens: 2,
	logitsProcessors: [{ name: "p", args: { a: 1 } }],
};
