// SPDX-License-Identifier: Apache-2.0
export type { ChatInput, ChatMessage, ContentPart } from "./chat/chat-message.js";
export { ChatTemplate, type ChatTemplateOptions } from "./chat/chat-template.js";
export { type EncodedChat, encodeChat } from "./chat/encode-chat.js";
export { loadChatTemplate } from "./chat/load-chat-template.js";
export {
	StopStringMatcher,
	type StopStringMatcherOptions,
	type StopStringResult,
} from "./stream/stop-string-matcher.js";
export { StreamingDetokenizer } from "./stream/streaming-detokenizer.js";
export { type TokenLogprobText, tokenLogprobText } from "./stream/token-logprob-text.js";
export { loadTokenizer, loadTokenTexts } from "./tokenizer/load-tokenizer.js";
export {
	type DecodeOptions,
	type EncodeOptions,
	type LeadingSpace,
	MAX_TEXT_LENGTH,
	type Tokenizer,
	type TokenizerInfo,
	type TokenTexts,
} from "./tokenizer/tokenizer.js";
