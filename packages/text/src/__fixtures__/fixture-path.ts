// SPDX-License-Identifier: Apache-2.0
import { fileURLToPath } from "node:url";

/**
 * `byte-level`: bytes 0–255, a few merges, `<|end|>` 266 (which merges could spell), `<|start|>` 267 (put before
 * every text), `<think>` 268 (not special), `<|mask|>` 269 (single word); asks for truncation to 2 tokens.
 * `sentencepiece`: `<unk>` `<s>` `</s>`, byte tokens 3–258, `▁abcehlorw`, a few merges.
 */
export function fixturePath(name: "byte-level" | "sentencepiece"): string {
	return fileURLToPath(new URL(name, import.meta.url));
}
