// SPDX-License-Identifier: Apache-2.0
// @dyn/logits/grammar: answers that must satisfy a schema, an expression or a grammar.
export type { NextTokens } from "./grammar/compiled-grammar.js";
export { GrammarError } from "./grammar/grammar-error.js";
export { createGrammarThread, type GrammarThreadOptions } from "./grammar/grammar-thread.js";
export type { Guide } from "./grammar/guide.js";
export { BusyError, type GuidedText, type GuidedTexts } from "./grammar/guided-text.js";
export { createLocalGrammars } from "./grammar/local-texts.js";
export { createVocabulary, type Vocabulary } from "./grammar/vocabulary.js";
