// SPDX-License-Identifier: Apache-2.0

/** `tokenizer.ggml.token_type` of ordinary pieces; only these are built by merging. */
const NORMAL = 1;

/**
 * The merge list of a SentencePiece BPE vocabulary, which stores scores instead: two neighbours merge when their
 * concatenation is a piece, the piece with the best score first. Every way of cutting a piece in two pieces becomes
 * a merge, ordered by the piece's score; equal scores by the lengths of the parts, as Hugging Face converts them.
 */
export function sentencePieceMerges(
	tokens: readonly string[],
	types: readonly number[],
	scores: readonly number[],
): [string, string][] {
	const pieces = new Set(tokens.filter((_, id) => types[id] === NORMAL));
	// Looked up before the parts are cut out: a piece of a million characters has as many cuts, but few that can be pieces.
	const lengths = new Set(Array.from(pieces, (piece) => piece.length));
	const merges: { left: string; right: string; score: number }[] = [];
	for (const [id, token] of tokens.entries()) {
		if (types[id] !== NORMAL) continue;
		let cut = 0;
		for (const char of token) {
			if (lengths.has(cut) && lengths.has(token.length - cut)) {
				const [left, right] = [token.slice(0, cut), token.slice(cut)];
				if (left !== "" && pieces.has(left) && pieces.has(right))
					merges.push({ left, right, score: scores[id]! });
			}
			cut += char.length;
		}
	}
	merges.sort(
		(a, b) => b.score - a.score || a.left.length - b.left.length || a.right.length - b.right.length,
	);
	return merges.map(({ left, right }) => [left, right]);
}
