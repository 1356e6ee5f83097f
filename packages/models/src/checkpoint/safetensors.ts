// SPDX-License-Identifier: Apache-2.0
import { basename, dirname, join } from "node:path";
import { DynError } from "@dyn/common";
import type { TensorInfo, TensorType } from "./checkpoint.js";
import { FileWindow } from "./file-window.js";
import { quoteName } from "./quote-name.js";
import { readJsonObject } from "./read-json-object.js";
import { tensorByteLength } from "./tensor-type.js";

/** Largest header that the safetensors library itself accepts. */
const LARGEST_HEADER = 100_000_000;
/** More than any layer's weights have. */
const MOST_DIMENSIONS = 8;

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
	const malformed = (reason: string, cause?: unknown) =>
		new DynError("MODEL_FORMAT", `${path} is not a usable safetensors file: ${reason}`, {
			cause,
			details: { file: path },
		});
	const file = FileWindow.open(path);
	let header: unknown;
	let dataStart: number;
	try {
		const length = file.u64();
		if (length > BigInt(LARGEST_HEADER) || length > BigInt(file.size))
			throw malformed(`its header claims ${length} bytes; it is damaged, fetch it again`);
		dataStart = 8 + Number(length);
		const text = file.text(Number(length));
		try {
			header = JSON.parse(text);
		} catch (error) {
			throw malformed("its header is not JSON", error);
		}
	} finally {
		file.close();
	}
	if (typeof header !== "object" || header === null || Array.isArray(header))
		throw malformed("its header is not an object");

	const tensors = Object.entries(header)
		.filter(([key]) => key !== "__metadata__")
		.map(([name, value]): TensorInfo => {
			const tensor = `tensor ${quoteName(name)}`;
			const { dtype, shape, data_offsets: offsets } = (value ?? {}) as Record<string, unknown>;
			const type = DTYPES.get(dtype);
			if (!type) throw malformed(`${tensor} has dtype ${quoteName(dtype)}; supported: F32, F16, BF16`);
			if (!isCounts(shape) || shape.length > MOST_DIMENSIONS) throw malformed(`${tensor} has no valid shape`);
			if (!isCounts(offsets) || offsets.length !== 2) throw malformed(`${tensor} has no valid data_offsets`);
			const [begin, end] = offsets as [number, number];
			const count = shape.reduce((product, size) => product * size, 1);
			if (!Number.isSafeInteger(count) || tensorByteLength(type, count) !== end - begin)
				throw malformed(`${tensor} of shape [${shape}] does not take the ${end - begin} bytes it is given`);
			if (dataStart + end > file.size)
				throw malformed(`${tensor} ends after the end of the file: it is truncated, fetch it again`);
			return { name, type, shape, file: path, offset: dataStart + begin, byteLength: end - begin };
		});
	const overlap = findOverlap(tensors);
	if (overlap) throw malformed(`tensors ${overlap.map(quoteName).join(" and ")} overlap`);
	return tensors;
}

/** Tensors of every shard that a `model.safetensors.index.json` names. */
export async function readShardedSafetensors(indexPath: string): Promise<TensorInfo[]> {
	const malformed = (reason: string) =>
		new DynError("MODEL_FORMAT", `${indexPath}: ${reason}`, { details: { file: indexPath } });
	const { weight_map: weightMap } = await readJsonObject(indexPath);
	if (typeof weightMap !== "object" || weightMap === null) throw malformed("it has no weight_map");
	const tensors: TensorInfo[] = [];
	for (const shard of new Set(Object.values(weightMap))) {
		if (typeof shard !== "string" || basename(shard) !== shard || !shard.endsWith(".safetensors"))
			throw malformed(`shard ${quoteName(shard)} is not the name of a .safetensors file`);
		tensors.push(...readSafetensors(join(dirname(indexPath), shard)));
	}
	const files = new Map(tensors.map(({ name, file }) => [name, basename(file)]));
	const astray = Object.entries(weightMap).find(([name, shard]) => files.get(name) !== shard);
	if (astray) throw malformed(`tensor ${quoteName(astray[0])} is not in ${quoteName(astray[1])}`);
	return tensors;
}

/** Names of two tensors that share bytes, or null. */
function findOverlap(tensors: readonly TensorInfo[]): [string, string] | null {
	const inOrder = tensors.filter(({ byteLength }) => byteLength > 0).sort((a, b) => a.offset - b.offset);
	for (const [i, { name, offset }] of inOrder.entries()) {
		const before = inOrder[i - 1];
		if (before && before.offset + before.byteLength > offset) return [before.name, name];
	}
	return null;
}

function isCounts(value: unknown): value is number[] {
	return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
