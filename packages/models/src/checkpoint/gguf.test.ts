// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeGguf, float32Tensor, type TensorData } from "../testing/index.js";
import type { Checkpoint } from "./checkpoint.js";
import { openCheckpoint } from "./open-checkpoint.js";
import { readTensor } from "./read-tensor.js";

const golden = JSON.parse(
	readFileSync(new URL("__fixtures__/golden-gguf.json", import.meta.url), "utf8"),
) as { file: string; q8: number[] };

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-gguf-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function open(bytes: Uint8Array): Promise<Checkpoint> {
	const path = join(folder, "model.gguf");
	await writeFile(path, bytes);
	return openCheckpoint(path);
}

/** The message of the MODEL_FORMAT error, which must name the file. */
async function refusal(bytes: Uint8Array): Promise<string> {
	const error = await open(bytes).catch((error: unknown) => error);
	if (!DynError.is(error, "MODEL_FORMAT")) throw new Error(`no MODEL_FORMAT error but ${String(error)}`);
	expect(error.message).toContain(join(folder, "model.gguf"));
	return error.message;
}

const matrix = float32Tensor("m", [2, 3], [1, 2, 3, 4, 5, 6]);
const row: TensorData = { name: "row", type: "Q8_0", shape: [1, 32], bytes: new Uint8Array(34).fill(1) };
const valid = (): Buffer => Buffer.from(encodeGguf({ "general.name": "x" }, [matrix, row]));

/** A valid file with `change` made at the first place where `marker` stands, plus `shift` bytes. */
function changed(marker: string, shift: number, change: (bytes: Buffer, at: number) => unknown): Uint8Array {
	const bytes = valid();
	const at = bytes.indexOf(marker);
	expect(at).toBeGreaterThan(0);
	change(bytes, at + shift);
	return bytes;
}

describe("a GGUF file of the reference writer", () => {
	it("yields every type of metadata", async () => {
		const { metadata, format, config } = await open(Buffer.from(golden.file, "base64"));
		expect([format, config]).toEqual(["gguf", null]);
		expect(Object.fromEntries(metadata)).toEqual({
			"general.architecture": "llama",
			"general.name": "golden",
			"k.u8": 200,
			"k.i8": -5,
			"k.u16": 60_000,
			"k.i16": -30_000,
			"k.u32": 4_000_000_000,
			"k.i32": -7,
			"k.u64": 2n ** 63n + 1n,
			"k.i64": -(2n ** 62n) - 1n,
			"k.f32": 0.5,
			"k.f64": 0.1,
			"k.bool": true,
			"k.text": "grüße 漢字",
			"k.texts": ["a", "", "ccc"],
			"k.numbers": [1, -2, 3],
			"k.nested": [
				[1, 2],
				[3, 4],
			],
		});
	});

	it("yields tensors, outermost dimension first, and their values", async () => {
		const { tensors } = await open(Buffer.from(golden.file, "base64"));
		expect([...tensors.values()].map(({ name, type, shape }) => [name, type, shape])).toEqual([
			["f32", "F32", [2, 3]],
			["q8", "Q8_0", [2, 32]],
			["f16", "F16", [3]],
		]);
		expect([...(await readTensor(tensors.get("f32")!, 6))]).toEqual([0, 1, 2, 3, 4, 5]);
		expect([...(await readTensor(tensors.get("q8")!, 64))]).toEqual(golden.q8);
		expect([...(await readTensor(tensors.get("f16")!, 3))]).toEqual([1, 2, 3]);
	});
});

describe("a GGUF file", () => {
	it("may be version 2", async () => {
		const bytes = valid();
		bytes.writeUInt32LE(2, 4);
		expect((await open(bytes)).tensors.size).toBe(2);
	});

	it("is found in a folder that holds no other", async () => {
		const path = await mkdtemp(join(folder, "one-"));
		await writeFile(join(path, "some.gguf"), valid());
		expect((await openCheckpoint(path)).path).toBe(join(path, "some.gguf"));
		await writeFile(join(path, "other.gguf"), valid());
		await expect(openCheckpoint(path)).rejects.toThrow("2 .gguf files: name one of them");
	});

	it("is read alike by what wrote it", async () => {
		const metadata = { text: "a", flag: false, list: ["x", "y"], mixed: [1, 0.5], none: [], big: 2n ** 60n };
		const found = await open(encodeGguf(metadata, [matrix]));
		expect(Object.fromEntries(found.metadata)).toEqual(metadata);
		expect([...(await readTensor(found.tensors.get("m")!, 6))]).toEqual([1, 2, 3, 4, 5, 6]);
	});

	it("says so when it is truncated, at whatever byte", async () => {
		const bytes = valid();
		const end = (await open(bytes)).tensors.get("row")!;
		for (let length = 0; length < end.offset + end.byteLength; length++) {
			await refusal(bytes.subarray(0, length));
		}
		expect(await refusal(bytes.subarray(0, 40))).toContain("truncated");
		expect(await refusal(bytes.subarray(0, end.offset))).toContain(
			'tensor "row" ends after the end of the file',
		);
	});

	it.each<[string, () => Uint8Array, string]>([
		["other magic", () => changed("general", 0, (bytes) => bytes.write("x")), "does not begin with GGUF"],
		[
			"version 1",
			() => changed("general", 0, (bytes) => bytes.writeUInt32LE(1, 4)),
			"version 1 is not supported",
		],
		["big-endian", () => changed("general", 0, (bytes) => bytes.writeUInt32BE(3, 4)), "is not supported"],
		[
			"2^64-1 tensors",
			() => changed("general", 0, (bytes) => bytes.fill(255, 8, 16)),
			"number of tensors is 184",
		],
		[
			"more tensors than fit",
			() => changed("general", 0, (bytes) => bytes.writeUInt32LE(9, 8)),
			"9 tensors do not fit",
		],
		[
			"more entries than fit",
			() => changed("general", 0, (bytes) => bytes.writeUInt32LE(99, 16)),
			"99 metadata",
		],
		[
			"a long string",
			() => changed("general", -8, (bytes, at) => bytes.writeUInt32LE(2 ** 31, at)),
			"too long",
		],
		[
			"an unknown value type",
			() => changed("general.name", 12, (bytes, at) => bytes.writeUInt32LE(13, at)),
			"value type 13",
		],
		[
			"no dimension",
			() => changed("row", 3, (bytes, at) => bytes.writeUInt32LE(0, at)),
			'"row" has 0 dimensions',
		],
		[
			"five dimensions",
			() => changed("row", 3, (bytes, at) => bytes.writeUInt32LE(5, at)),
			'"row" has 5 dimensions',
		],
		[
			"dimensions beyond 2^53",
			() => changed("row", 7, (bytes, at) => bytes.fill(255, at, at + 8)),
			'tensor "row" is 184',
		],
		[
			"a product beyond 2^53",
			() => changed("row", 7, (bytes, at) => [0, 8].map((i) => bytes.writeUInt32LE(2 ** 30, at + i))),
			"cannot hold",
		],
		[
			"part of a block",
			() => changed("row", 7, (bytes, at) => bytes.writeUInt32LE(33, at)),
			"Q8_0 cannot hold",
		],
		[
			"a type that is not known",
			() => changed("row", 23, (bytes, at) => bytes.writeUInt32LE(16, at)),
			'tensor "row" has the unsupported GGML type 16',
		],
		[
			"an offset outside",
			() => changed("row", 27, (bytes, at) => bytes.writeUInt32LE(4096, at)),
			"after the end",
		],
		[
			"an offset off the alignment",
			() => changed("row", 27, (bytes, at) => bytes.writeUInt32LE(1, at)),
			"offset 1, not a multiple of 32",
		],
		["a tensor twice", () => encodeGguf({}, [matrix, matrix]), '"m" appears twice'],
		["an odd alignment", () => encodeGguf({ "general.alignment": 24 }, [matrix]), "power of two"],
		["a fractional alignment", () => encodeGguf({ "general.alignment": 0.5 }, [matrix]), "power of two"],
		["deep arrays", () => encodeGguf({ deep: [[[[[1]]]]] }, [matrix]), "nested too deeply"],
		["a part of a split model", () => encodeGguf({ "split.count": 3 }, [matrix]), "part of a split model"],
	])("is refused with %s", async (_what, bytes, message) => {
		expect(await refusal(bytes())).toContain(message);
	});

	it("is refused with a metadata key twice", async () => {
		const bytes = Buffer.from(encodeGguf({ aaa: 1, bbb: 2 }, [matrix]));
		bytes.write("aaa", bytes.indexOf("bbb"));
		expect(await refusal(bytes)).toContain('metadata "aaa" appears twice');
	});

	it("is refused with an array that claims more elements than the file has bytes for", async () => {
		const bytes = Buffer.from(encodeGguf({ list: ["a", "b"], rest: "x".repeat(100) }, [matrix]));
		bytes.writeUInt32LE(30, bytes.indexOf("list") + 12); // 30 texts take 240 bytes at least
		expect(await refusal(bytes)).toContain("30 array elements do not fit");
	});

	it("shortens names that it quotes", async () => {
		const bytes = encodeGguf({}, [{ ...matrix, name: "n".repeat(100_000), shape: [2, 9999] }]);
		expect((await refusal(bytes)).length).toBeLessThan(400);
	});
});
