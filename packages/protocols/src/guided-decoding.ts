// SPDX-License-Identifier: Apache-2.0

/** What the output must look like. An engine that cannot enforce it refuses the request; it never answers unconstrained. */
export type GuidedDecoding =
	/** `schema`: a JSON Schema, as JSON text. */
	| { readonly kind: "json_schema"; readonly schema: string }
	/** Any JSON object. */
	| { readonly kind: "json_object" }
	| { readonly kind: "regex"; readonly pattern: string }
	/** `ebnf`: a grammar in the notation of the engine's guided-decoding library. */
	| { readonly kind: "grammar"; readonly ebnf: string }
	/** `tag`: free text with constrained spans, as JSON text (xgrammar's structural tags). */
	| { readonly kind: "structural_tag"; readonly tag: string }
	/** One of these texts, literally. */
	| { readonly kind: "choice"; readonly choices: readonly string[] };
