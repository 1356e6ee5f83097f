// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import type { JsonObject } from "./json-reader.js";
import type { AddedToken, TokenizerDocument } from "./tokenizer-document.js";

/**
 * A document whose control tokens go by names nobody can guess, so that their usual texts are ordinary text to the
 * native tokenizer, which on its own turns every `<|im_end|>` into the token. Where the token is meant, the caller
 * writes the secret name instead: one native pass then segments the whole text exactly as it always would.
 */
export interface GuardedDocument {
	/** `added_tokens` of the `tokenizer.json` for the native tokenizer. */
	readonly addedTokens: readonly { readonly id: number; readonly content: string }[];
	/** What happens to a text before the model sees it. */
	readonly pipeline: { readonly normalizer: JsonObject | null; readonly pre_tokenizer: JsonObject | null };
	readonly model: JsonObject;
	/** Usual text of a control token → its secret name. */
	readonly names: ReadonlyMap<string, string>;
}

export function guardDocument(document: TokenizerDocument): GuardedDocument {
	// Lower-case letters and digits survive every normalizer; the final letter keeps one name from starting another.
	const secret = randomBytes(16).toString("hex");
	const names = new Map(
		document.addedTokens.filter((t) => t.special).map((t) => [t.content, `k${secret}x${t.id}z`]),
	);
	return {
		addedTokens: document.addedTokens.map((token) => addedToken(token, names.get(token.content))),
		pipeline: { normalizer: document.normalizer, pre_tokenizer: document.preTokenizer },
		model: guardModel(document, names),
		names,
	};
}

/** A secret name is matched as it stands: whether the usual text stood alone was decided when it was replaced. */
function addedToken(token: AddedToken, name: string | undefined) {
	return {
		id: token.id,
		content: name ?? token.content,
		single_word: name === undefined && token.singleWord,
		lstrip: token.lstrip,
		rstrip: token.rstrip,
		normalized: name === undefined && token.normalized,
		special: token.special,
	};
}

/** Renames the control tokens in the vocabulary too and drops the merges that would spell them. */
function guardModel({ model }: TokenizerDocument, names: ReadonlyMap<string, string>): JsonObject {
	const rename = (token: string): string => names.get(token) ?? token;
	if (model.type === "Unigram")
		return {
			type: model.type,
			...model.settings,
			vocab: [...model.vocab].map(([token, id]) => [rename(token), model.scores[id]]),
		};
	const vocab: Record<string, number> = Object.create(null); // `__proto__` may be a token
	for (const [token, id] of model.vocab) vocab[rename(token)] = id;
	const unknown = model.unknownToken === null ? null : rename(model.unknownToken);
	if (model.type === "WordLevel") return { type: model.type, vocab, unk_token: unknown };
	// Looked up by length before they are joined: few merges are as long as a control token.
	const lengths = new Set(Array.from(names.keys(), (name) => name.length));
	const merges = model.merges.filter(
		([left, right]) =>
			!names.has(left) &&
			!names.has(right) &&
			!(lengths.has(left.length + right.length) && names.has(left + right)),
	);
	return { type: model.type, ...model.settings, unk_token: unknown, vocab, merges };
}
