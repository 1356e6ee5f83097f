// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { trtllmBlockKey, trtllmSaltId } from "./trtllm-block-key.js";

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

// Made with an implementation of the published algorithm in Python.
it("hashes as TensorRT-LLM's v1_block_key", () => {
	expect(trtllmBlockKey([1], null)).toBe(3478951329n);
	expect(trtllmBlockKey([1, 2860, 278], null)).toBe(14497483719523n);
	expect(trtllmBlockKey([1, 2, 3, 4], null)).toBe(924206229973855n);
	expect(trtllmBlockKey([5, 6, 7, 8], 924206229973855n)).toBe(2728178455351807326n);
	expect(trtllmBlockKey(range(0, 32), null)).toBe(17461474797406555673n);
	expect(trtllmBlockKey(range(32, 64), 17461474797406555673n)).toBe(949730894463544763n);
});

it("takes in the LoRA of every block and the salt of the first", () => {
	expect(trtllmBlockKey([1], null, { loraId: 7n })).toBe(1346066497089795028n);
	expect(trtllmBlockKey([1], null, { saltId: 5n })).toBe(7725721587889702273n);
	expect(trtllmBlockKey([1], 9n, { saltId: 5n })).toBe(trtllmBlockKey([1], 9n));
	expect(trtllmSaltId("tenant-a")).toBe(16248643848220682112n);
});
