// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { DynError } from "@dyn/common";
import type { TensorInfo, TensorType } from "./checkpoint.js";
import { FileWindow } from "./file-window.js";
import { tensorByteLength } from "./tensor-type.js";

/** Largest header that the safetensors library itself accepts. */
const LARGEST_HEADER = 100_000_000;

const DTYPES: ReadonlyMap<unknown, TensorType> = new Map([
	["F32", "F32"],
	["F16", "F16"],
	["BF16", "BF16"],
]);

/**
 * Tensors of one safetensors file (format: the safetensors README: u64 header length, JSON header, data).
 * @throws DynError MODEL_FORMAT naming the file and what is wrong.
 */
export function readSafetensors(path: string): TensorInfo[] {
	const malformed = (reason: string) =>
		new DynError("MODEL_FORMAT", `${path} is not a usable safetensors file: ${reason}`, {
			details: { file: path },
		});
	const file = FileWindow.open(path);
	let header: unknown;
	let dataStart: number;
	try {
		const length = file.u64();
		if (length > BigInt(LARGEST_HEADER) || length > BigInt(file.size))
			throw malformed(`its header claims ${length} bytes`);
		dataStart = 8 + Number(length);
		const text = file.text(Number(length));
		try {
			header = JSON.parse(text);
		} catch (error) {
			throw new DynError("MODEL_FORMAT", `${path} is not a usable safetensors file: its header is not JSON`, {
				cause: error,
			});
		}
	} finally {
		file.close();
	}
	if (typeof header !== "object" || header === null || Array.isArray(header))
		throw malformed("its header is not an object");

	return Object.entries(header)
		.filter(([name]) => name !== "__metadata__")
		.map(([name, value]) => {
			const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
			const type = DTYPES.get(dtype);
			if (!type) throw malformed(`tensor ${name} has dtype ${String(dtype)}; supported: F32, F16, BF16`);
			if (!isCounts(shape)) throw malformed(`tensor ${name} has no valid shape`);
			if (!isCounts(offsets) || offsets.length !== 2)
				throw malformed(`tensor ${name} has no valid data_offsets`);
			const [begin, end] = offsets as [number, number];
			const count = shape.reduce((product, size) => product * size, 1);
			if (!Number.isSafeInteger(count) || tensorByteLength(type, count) !== end - begin) {
				throw malformed(
					`tensor ${name} of shape [${shape}] does not take the ${end - begin} bytes it is given`,
				);
			}
			if (dataStart + end > file.size)
				throw malformed(`tensor ${name} ends after the end of the file: it is truncated, fetch it again`);
			return { name, type, shape, file: path, offset: dataStart + begin, byteLength: end - begin };
		});
}

/** Tensors of every shard that a `model.safetensors.index.json` names. */
export async function readShardedSafetensors(indexPath: string): Promise<TensorInfo[]> {
	const malformed = (reason: string) =>
		new DynError("MODEL_FORMAT", `${indexPath}: ${reason}`, { details: { file: indexPath } });
	let weightMap: unknown;
	try {
		weightMap = (JSON.parse(await readFile(indexPath, "utf8")) as { weight_map?: unknown }).weight_map;
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${indexPath} is not JSON`, { cause: error });
	}
	if (typeof weightMap !== "object" || weightMap === null) throw malformed("it has no weight_map");
	const shards = new Set(Object.values(weightMap));
	const tensors: TensorInfo[] = [];
	for (const shard of shards) {
		if (typeof shard !== "string" || basename(shard) !== shard)
			throw malformed(`shard ${JSON.stringify(shard)} is not a file name`);
		tensors.push(...readSafetensors(join(dirname(indexPath), shard)));
	}
	const names = new Set(tensors.map(({ name }) => name));
	const missing = Object.keys(weightMap).find((name) => !names.has(name));
	if (missing !== undefined) throw malformed(`tensor ${missing} is in none of the shards`);
	return tensors;
}

function isCounts(value: unknown): value is number[] {
	return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
