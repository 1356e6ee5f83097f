// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { createGrammarThread, createVocabulary } from "@dyn/logits/grammar";
import { loadTokenTexts } from "@dyn/text";
import type { Grammars } from "./guided-choice.js";
import type { EmbeddedEngineOptions } from "./options.js";

const NO_TEXT = new Uint8Array(0);

/** Grammars over the model's own vocabulary; null when the checkpoint has no tokenizer that can be read. */
export async function openGrammars({ modelPath, logger }: EmbeddedEngineOptions): Promise<Grammars | null> {
	try {
		const tokens = await loadTokenTexts(modelPath);
		const ends = new Set(tokens.eosTokenIds);
		const vocabulary = createVocabulary(tokens.vocabSize, (id) =>
			tokens.isSpecial(id) || ends.has(id) ? NO_TEXT : tokens.tokenBytes(id),
		);
		return { vocabulary, texts: createGrammarThread({ vocabulary }) };
	} catch (error) {
		if (!DynError.is(error)) throw error;
		logger?.warn("no guided decoding: the checkpoint has no tokenizer that can be read", {
			reason: error.rawMessage,
		});
		return null;
	}
}
