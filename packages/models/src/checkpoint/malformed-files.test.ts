// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { afterAll, expect, it } from "vitest";
import { encodeGguf, encodeSafetensors, float32Tensor } from "../testing/index.js";
import { openCheckpoint } from "./open-checkpoint.js";

const folder = await mkdtemp(join(tmpdir(), "dyn-fuzz-"));
afterAll(() => rm(folder, { recursive: true }));

const MUTATIONS = 6_000;
/** No header here is larger than 1 kB: reading one may not make memory grow by more than a heap that grows anyway. */
const MOST_BYTES_PER_FILE = 64 * 2 ** 20;

/** Uniform in [0, 1), the same for a seed everywhere: SplitMix32 (Steele, Lea, Flood 2014, with 32-bit constants). */
function seededRandom(seed: number): () => number {
	let state = seed;
	return () => {
		state = (state + 0x9e3779b9) | 0;
		let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
	};
}

/** One to three changes: bits, bytes, telling integers, cuts, copies. */
function mutate(original: Uint8Array, random: () => number): Buffer {
	let bytes = Buffer.from(original);
	const below = (limit: number) => Math.floor(random() * limit);
	const integers = [
		0n,
		1n,
		2n,
		255n,
		2n ** 16n,
		2n ** 31n,
		2n ** 32n - 1n,
		2n ** 53n,
		2n ** 63n,
		2n ** 64n - 1n,
	];
	for (let changes = 1 + below(3); changes > 0 && bytes.length > 8; changes--) {
		const at = below(bytes.length - 8);
		switch (below(6)) {
			case 0:
				bytes[at]! ^= 1 << below(8);
				break;
			case 1:
				bytes[at] = below(256);
				break;
			case 2:
				bytes.writeBigUInt64LE(integers[below(integers.length)]!, at);
				break;
			case 3:
				bytes.writeUInt32LE(Number(BigInt.asUintN(32, integers[below(integers.length)]!)), at);
				break;
			case 4:
				bytes = bytes.subarray(0, below(bytes.length));
				break;
			default:
				bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(at + 1))]);
		}
	}
	return bytes;
}

const tensors = [
	float32Tensor("blk.0.weight", [2, 3], [1, 2, 3, 4, 5, 6]),
	float32Tensor("norm", [4], [1, 1, 1, 1]),
];
const gguf = encodeGguf(
	{ "general.name": "fuzz", "general.alignment": 32, tokens: ["a", "b"], nested: [[1], [2, -3]], eps: 1e-5 },
	[...tensors, { name: "q", type: "Q4_1", shape: [1, 32], bytes: new Uint8Array(20) }],
);

it.each([
	["GGUF", gguf, join(folder, "model.gguf"), join(folder, "model.gguf")],
	["safetensors", encodeSafetensors(tensors), folder, join(folder, "model.safetensors")],
])(
	"of %s kind give MODEL_FORMAT or tensors inside the file, never anything else",
	async (_kind, valid, path, file) => {
		await writeFile(join(folder, "config.json"), "{}");
		writeFileSync(file, valid);
		expect((await openCheckpoint(path)).tensors.size).toBeGreaterThan(1);

		const random = seededRandom(20_261_121);
		const outcomes = { opened: 0, refused: 0 };
		for (let i = 0; i < MUTATIONS; i++) {
			const bytes = mutate(valid, random);
			writeFileSync(file, bytes);
			const before = process.memoryUsage.rss();
			try {
				for (const { offset, byteLength } of (await openCheckpoint(path)).tensors.values()) {
					if (offset + byteLength > bytes.length) throw new Error("a tensor outside the file was accepted");
				}
				outcomes.opened++;
			} catch (error) {
				if (!DynError.is(error, "MODEL_FORMAT"))
					throw new Error(`mutation ${i} (${bytes.toString("base64")}) gave another error`, { cause: error });
				outcomes.refused++;
			}
			// A length in a header that is believed takes gigabytes.
			expect(
				process.memoryUsage.rss() - before,
				`bytes for mutation ${i} (${bytes.toString("base64")})`,
			).toBeLessThanOrEqual(MOST_BYTES_PER_FILE);
		}
		expect(outcomes.opened).toBeGreaterThan(MUTATIONS / 50);
		expect(outcomes.refused).toBeGreaterThan(MUTATIONS / 4);
	},
);
