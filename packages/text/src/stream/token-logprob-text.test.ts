// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { fixturePath } from "../__fixtures__/fixture-path.js";
import { loadTokenizer } from "../tokenizer/load-tokenizer.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { tokenLogprobText } from "./token-logprob-text.js";

it("shows text as text and parts of characters as bytes", async () => {
	const tokenizer = await loadTokenizer(fixturePath("byte-level"));
	expect(tokenLogprobText(tokenizer, tokenizer.idOf("Ġw")!)).toEqual({ token: " w", bytes: [0x20, 0x77] });
	expect(tokenLogprobText(tokenizer, 0xe2)).toEqual({ token: "\\xe2", bytes: [0xe2] });
	expect(tokenLogprobText(tokenizer, 266)).toEqual({ token: "<|end|>", bytes: [...Buffer.from("<|end|>")] });
	expect(tokenLogprobText(tokenizer, 99_999)).toEqual({ token: "", bytes: [] });
});

it("keeps the whole characters of a token that also has parts of one", () => {
	const tokenizer = (bytes: readonly number[]): Tokenizer =>
		({ tokenBytes: () => Uint8Array.from(bytes) }) as unknown as Tokenizer;
	const text = (bytes: readonly number[]): string => tokenLogprobText(tokenizer(bytes), 0).token;
	expect(text([0x20, 0xc3, 0xa9, 0xf0, 0x9f])).toBe(" é\\xf0\\x9f");
	expect(text([0x80, 0xf0, 0x9f, 0x91, 0x8d, 0xff])).toBe("\\x80👍\\xff");
	expect(text([0xef, 0xbf, 0xbd])).toBe("\ufffd");
	expect(text([0xef, 0xbf, 0xbd, 0xff])).toBe("\ufffd\\xff");
});
