// SPDX-License-Identifier: Apache-2.0
export {
	type ChatMessage,
	type ChatTemplate,
	loadChatTemplate,
	type RenderOptions,
} from "./chat-template.js";
export { loadTokenizer } from "./load-tokenizer.js";
export { type MatcherOutput, StopStringMatcher } from "./stop-string-matcher.js";
export { type DetokenizerOptions, StreamingDetokenizer } from "./streaming-detokenizer.js";
export type { EncodeOptions, PromptSegment, Tokenizer } from "./tokenizer.js";
