// SPDX-License-Identifier: Apache-2.0
import { beforeAll, describe, expect, it } from "vitest";
import { fixturePath } from "../__fixtures__/fixture-path.js";
import { randomNumbers } from "../__fixtures__/random.js";
import { loadTokenizer } from "../tokenizer/load-tokenizer.js";
import type { DecodeOptions, Tokenizer } from "../tokenizer/tokenizer.js";
import { StreamingDetokenizer } from "./streaming-detokenizer.js";

let byteLevel: Tokenizer;
let sentencePiece: Tokenizer;
beforeAll(async () => {
	byteLevel = await loadTokenizer(fixturePath("byte-level"));
	sentencePiece = await loadTokenizer(fixturePath("sentencepiece"));
});

/** Every way of cutting `ids` in consecutive pieces. */
function* cuttings(ids: readonly number[]): Generator<number[][]> {
	for (let cuts = 0; cuts < 2 ** (ids.length - 1); cuts++) {
		const pieces: number[][] = [[]];
		for (const [index, id] of ids.entries()) {
			if (index > 0 && cuts & (1 << (index - 1))) pieces.push([]);
			pieces.at(-1)!.push(id);
		}
		yield pieces;
	}
}

describe("StreamingDetokenizer", () => {
	it("streams what a batch decodes, for random tokens and every cutting", () => {
		const random = randomNumbers(7);
		for (const tokenizer of [byteLevel, sentencePiece]) {
			for (let round = 0; round < 60; round++) {
				// One id past the end: unknown ids stand for nothing.
				const ids = Array.from({ length: 1 + random(7) }, () => random(tokenizer.vocabSize + 1));
				const options: DecodeOptions = { skipSpecialTokens: round % 2 === 0, continuation: round % 3 === 0 };
				const expected = tokenizer.decode(ids, options);
				for (const pieces of cuttings(ids)) {
					const stream = new StreamingDetokenizer(tokenizer, options);
					expect(pieces.map((piece) => stream.push(piece)).join("") + stream.finish()).toBe(expected);
				}
			}
		}
	});

	it("decodes bytes that belong together across tokens", async () => {
		const ids = await byteLevel.encode("é👍", { addSpecialTokens: false });
		expect(ids.length).toBe(6);
		const stream = new StreamingDetokenizer(byteLevel);
		expect([...ids].map((id) => stream.push([id]))).toEqual(["", "é", "", "", "", "👍"]);
	});

	it("ends an incomplete character where a whole token follows", () => {
		expect(byteLevel.decode([0xc3, 0x41, 257])).toBe("\ufffdAll");
	});

	it("skips control tokens unless told otherwise", () => {
		const ids = [267, 0x68, 266, 268];
		expect(byteLevel.decode(ids)).toBe("h<think>");
		expect(byteLevel.decode(ids, { skipSpecialTokens: false })).toBe("<|start|>h<|end|><think>");
	});

	it("does not let a skipped control token break a character", () => {
		expect(byteLevel.decode([0xc3, 267, 0xa9])).toBe("é");
	});

	it("drops the space that SentencePiece put before the first word, but not when continuing", () => {
		const hello = sentencePiece.idOf("▁hello")!;
		expect(sentencePiece.decode([1, hello, hello])).toBe("hello hello");
		expect(sentencePiece.decode([1, hello, hello], { continuation: true })).toBe(" hello hello");
		expect(sentencePiece.decode([sentencePiece.idOf("▁▁")!, hello])).toBe("  hello");
	});

	it("joins byte tokens to characters", () => {
		const ids = [0xe6, 0xbc, 0xa2].map((byte) => byte + 3);
		expect(sentencePiece.decode(ids)).toBe("漢");
		expect(sentencePiece.decode(ids.slice(0, 2))).toBe("\ufffd");
	});
});
