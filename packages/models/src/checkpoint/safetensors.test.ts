// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { float32Tensor, writeSafetensors } from "../testing/index.js";
import { openCheckpoint } from "./open-checkpoint.js";
import { readTensor } from "./read-tensor.js";

const root = await mkdtemp(join(tmpdir(), "dyn-safetensors-"));
let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(root, "model-"));
	await writeFile(join(folder, "config.json"), '{"model_type":"llama"}');
});
afterAll(() => rm(root, { recursive: true }));

/** A safetensors file from a header as written, so that these tests do not lean on the project's own writer. */
function encoded(header: string, data: Uint8Array = new Uint8Array(0)): Uint8Array {
	const length = Buffer.alloc(8);
	length.writeBigUInt64LE(BigInt(Buffer.byteLength(header)));
	return Buffer.concat([length, Buffer.from(header), data]);
}

async function refusal(file = "model.safetensors"): Promise<string> {
	const error = await openCheckpoint(folder).catch((error: unknown) => error);
	if (!DynError.is(error, "MODEL_FORMAT")) throw new Error(`no MODEL_FORMAT error but ${String(error)}`);
	expect(error.message).toContain(file);
	return error.message;
}

describe("a safetensors folder", () => {
	it("yields its configuration, tensors of three types and their values", async () => {
		const header =
			'{"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},' +
			'"b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},"c":{"dtype":"F16","shape":[],"data_offsets":[10,12]}}';
		const data = Uint8Array.of(0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc1, 0x40, 0xc0, 0, 0x38);
		await writeFile(join(folder, "model.safetensors"), encoded(header, data));
		const { format, config, tensors } = await openCheckpoint(folder);
		expect([format, config]).toEqual(["safetensors", { model_type: "llama" }]);
		expect(tensors.get("a")).toEqual({
			name: "a",
			type: "F32",
			shape: [2, 1],
			file: join(folder, "model.safetensors"),
			offset: 8 + header.length,
			byteLength: 8,
		});
		expect([...(await readTensor(tensors.get("a")!, 2))]).toEqual([1, -10]);
		expect([...(await readTensor(tensors.get("b")!, 1))]).toEqual([-3]);
		expect([...(await readTensor(tensors.get("c")!, 1))]).toEqual([0.5]);
	});

	it.each<[string, string, string]>([
		["no JSON", "{", "header is not JSON"],
		["a list for a header", "[]", "header is not an object"],
		["a null tensor", '{"a":null}', 'tensor "a" has dtype (undefined)'],
		["another dtype", '{"a":{"dtype":"I64","shape":[0],"data_offsets":[0,0]}}', 'dtype "I64"'],
		["a dtype that cannot be printed", `{"a":{"dtype":{"toString":1}}}`, "dtype (object)"],
		[
			"a dtype nested without end",
			`{"a":{"dtype":${"[".repeat(50_000)}${"]".repeat(50_000)}}}`,
			"dtype (object)",
		],
		["a negative size", '{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', "no valid shape"],
		[
			"nine dimensions",
			'{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}',
			"no valid shape",
		],
		[
			"a huge product",
			'{"a":{"dtype":"F32","shape":[9007199254740991,9],"data_offsets":[0,4]}}',
			"does not take",
		],
		["one offset", '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}', "no valid data_offsets"],
		[
			"offsets backwards",
			'{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}',
			"does not take the -4 bytes",
		],
		[
			"too few bytes for the shape",
			'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}',
			"does not take the 4 bytes",
		],
		["data after the end", '{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}', "truncated"],
		[
			"an overlap",
			'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F16","shape":[1],"data_offsets":[6,8]}}',
			'"a" and "b" overlap',
		],
	])("is refused with %s", async (_what, header, message) => {
		await writeFile(join(folder, "model.safetensors"), encoded(header, new Uint8Array(8)));
		expect(await refusal()).toContain(message);
	});

	it("is refused with a header that is too long, or longer than the file", async () => {
		for (const length of [100_000_001n, 2n ** 64n - 1n, 9n]) {
			const bytes = Buffer.alloc(16);
			bytes.writeBigUInt64LE(length);
			await writeFile(join(folder, "model.safetensors"), bytes);
			await refusal();
		}
		await writeFile(join(folder, "model.safetensors"), new Uint8Array(3));
		expect(await refusal()).toContain("truncated");
	});

	it("is refused without a usable config.json", async () => {
		await writeSafetensors(join(folder, "model.safetensors"), [float32Tensor("a", [1], [1])]);
		await writeFile(join(folder, "config.json"), "[]");
		expect(await refusal("config.json")).toContain("does not hold a JSON object");
		await rm(join(folder, "config.json"));
		expect(await refusal("config.json")).toContain("cannot be read");
	});

	it("is refused when the model file is a folder or a pipe, which must not be waited for", async () => {
		await mkdir(join(folder, "model.safetensors"));
		expect(await refusal()).toContain("it is not a file");
		await rm(join(folder, "model.safetensors"), { recursive: true });
		execFileSync("mkfifo", [join(folder, "model.safetensors")]);
		expect(await refusal()).toContain("it is not a file");
		await expect(openCheckpoint(join(folder, "model.safetensors"))).rejects.toThrow("it is not a file");
	});

	it("is refused when it holds no model; a path to nothing is NOT_FOUND", async () => {
		expect(await refusal(folder)).toContain("no model.safetensors and no .gguf file");
		await expect(openCheckpoint(join(folder, "nowhere"))).rejects.toMatchObject({ code: "NOT_FOUND" });
	});
});

describe("a sharded safetensors folder", () => {
	const index = (weightMap: unknown) =>
		writeFile(
			join(folder, "model.safetensors.index.json"),
			JSON.stringify({ metadata: {}, weight_map: weightMap }),
		);
	beforeEach(async () => {
		await writeSafetensors(join(folder, "one.safetensors"), [float32Tensor("a", [1], [1])]);
		await writeSafetensors(join(folder, "two.safetensors"), [float32Tensor("b", [1], [2])]);
	});

	it("yields the tensors of all shards", async () => {
		await index({ a: "one.safetensors", b: "two.safetensors" });
		const { tensors } = await openCheckpoint(folder);
		expect([...(await readTensor(tensors.get("b")!, 1))]).toEqual([2]);
		expect(tensors.get("a")!.file).toBe(join(folder, "one.safetensors"));
	});

	it.each<[string, unknown, string, string]>([
		["a missing shard", { a: "three.safetensors" }, "three.safetensors", "cannot open"],
		[
			"a tensor that is nowhere",
			{ z: "one.safetensors" },
			"index.json",
			'tensor "z" is not in "one.safetensors"',
		],
		[
			"a tensor in another shard",
			{ a: "two.safetensors", b: "one.safetensors" },
			"index.json",
			'tensor "a" is not in',
		],
		["a shard elsewhere", { a: "../one.safetensors" }, "index.json", "is not the name of"],
		["the folder above as a shard", { a: ".." }, "index.json", "is not the name of"],
		["a shard that is no text", { a: 7 }, "index.json", "shard (number)"],
		["no map", null, "index.json", "no weight_map"],
	])("is refused with %s", async (_what, weightMap, file, message) => {
		await index(weightMap);
		expect(await refusal(file)).toContain(message);
	});

	it("is refused with a tensor in two shards", async () => {
		await writeSafetensors(join(folder, "two.safetensors"), [
			float32Tensor("a", [1], [2]),
			float32Tensor("b", [1], [2]),
		]);
		await index({ a: "two.safetensors", b: "two.safetensors" });
		expect((await openCheckpoint(folder)).tensors.size).toBe(2);
		await writeSafetensors(join(folder, "one.safetensors"), [
			float32Tensor("a", [1], [1]),
			float32Tensor("c", [1], [1]),
		]);
		await index({ c: "one.safetensors", b: "two.safetensors" });
		expect(await refusal(folder)).toContain('tensor "a" is in two shards');
	});

	it("is refused with an index that is no JSON", async () => {
		await writeFile(join(folder, "model.safetensors.index.json"), "nonsense");
		expect(await refusal("index.json")).toContain("is not JSON");
	});
});
