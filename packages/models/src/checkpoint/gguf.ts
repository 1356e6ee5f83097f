// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Checkpoint, GgufValue, TensorInfo, TensorType } from "./checkpoint.js";
import { FileWindow } from "./file-window.js";
import { quoteName } from "./quote-name.js";
import { tensorByteLength } from "./tensor-type.js";

/** GGML type numbers (ggml.h) of the types that this project reads. */
const TENSOR_TYPES: ReadonlyMap<number, TensorType> = new Map([
	[0, "F32"],
	[1, "F16"],
	[2, "Q4_0"],
	[3, "Q4_1"],
	[6, "Q5_0"],
	[7, "Q5_1"],
	[8, "Q8_0"],
	[12, "Q4_K"],
	[13, "Q5_K"],
	[14, "Q6_K"],
	[30, "BF16"],
]);

/** Fewest bytes that a value of each metadata type takes, by type number. */
const VALUE_BYTES: readonly number[] = [1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8];
/** Key length, type and value; name length, dimensions, one dimension, type and offset. */
const ENTRY_BYTES = 8 + 4 + 1;
const TENSOR_BYTES = 8 + 4 + 8 + 4 + 8;

const LARGEST_COUNT = 16_000_000;
const LARGEST_STRING = 16 * 2 ** 20;
/** What tensor data may be aligned to: powers of two up to 1 MiB. */
const ALIGNMENTS: ReadonlySet<number> = new Set(Array.from({ length: 21 }, (_, i) => 2 ** i));
const DEEPEST_ARRAY = 4;

/**
 * Reads the header of a GGUF file, version 2 or 3, little-endian (format: ggml docs/gguf.md). Every count, length and
 * offset is checked against the file before it is used.
 * @throws DynError MODEL_FORMAT naming the file and what is wrong.
 */
export function readGguf(path: string): Checkpoint {
	const file = FileWindow.open(path);
	try {
		return new GgufReader(path, file).read();
	} finally {
		file.close();
	}
}

class GgufReader {
	readonly #path: string;
	readonly #file: FileWindow;

	constructor(path: string, file: FileWindow) {
		this.#path = path;
		this.#file = file;
	}

	read(): Checkpoint {
		if (this.#file.size < 4 || this.#file.u32() !== 0x46554747)
			throw this.#malformed("it does not begin with GGUF; for a safetensors checkpoint pass its folder");
		const version = this.#file.u32();
		if (version !== 2 && version !== 3)
			throw this.#malformed(`version ${version} is not supported (little-endian 2 and 3 are)`);
		const tensorCount = this.#count("tensors", TENSOR_BYTES);
		const entryCount = this.#count("metadata entries", ENTRY_BYTES);
		const metadata = new Map<string, GgufValue>();
		for (let i = 0; i < entryCount; i++) {
			const key = this.#string();
			if (metadata.has(key)) throw this.#malformed(`metadata ${quoteName(key)} appears twice`);
			metadata.set(key, this.#value(this.#file.u32(), 0));
		}
		const parts = metadata.get("split.count") ?? 1;
		if (parts !== 0 && parts !== 1)
			throw this.#malformed("it is one part of a split model; join the parts into one file first");
		const headers: { name: string; type: TensorType; shape: number[]; offset: number }[] = [];
		for (let i = 0; i < tensorCount; i++) headers.push(this.#tensorHeader());
		return {
			format: "gguf",
			path: this.#path,
			tensors: this.#place(headers, metadata),
			config: null,
			metadata,
		};
	}

	#tensorHeader() {
		const name = this.#string();
		const dimensions = this.#file.u32();
		if (dimensions < 1 || dimensions > 4)
			throw this.#malformed(`tensor ${quoteName(name)} has ${dimensions} dimensions`);
		const shape: number[] = [];
		for (let i = 0; i < dimensions; i++)
			shape.unshift(this.#size(`a dimension of tensor ${quoteName(name)}`));
		const typeNumber = this.#file.u32();
		const type = TENSOR_TYPES.get(typeNumber);
		if (!type)
			throw this.#malformed(
				`tensor ${quoteName(name)} has the unsupported GGML type ${typeNumber}; supported: ${[...TENSOR_TYPES.values()].join(", ")}`,
			);
		const offset = this.#size(`the offset of tensor ${quoteName(name)}`);
		return { name, type, shape, offset };
	}

	/** Turns offsets into positions in the file and checks that every tensor lies inside it. */
	#place(
		headers: readonly { name: string; type: TensorType; shape: number[]; offset: number }[],
		metadata: ReadonlyMap<string, GgufValue>,
	): Map<string, TensorInfo> {
		const alignment = metadata.get("general.alignment") ?? 32;
		if (typeof alignment !== "number" || !ALIGNMENTS.has(alignment))
			throw this.#malformed("general.alignment is not a power of two");
		const dataStart = Math.ceil(this.#file.position / alignment) * alignment;
		const tensors = new Map<string, TensorInfo>();
		for (const { name, type, shape, offset } of headers) {
			const count = shape.reduce((product, size) => product * size, 1);
			const cols = shape.at(-1)!;
			const byteLength =
				Number.isSafeInteger(count) && tensorByteLength(type, cols) !== null
					? tensorByteLength(type, count)
					: null;
			if (byteLength === null || count === 0)
				throw this.#malformed(`tensor ${quoteName(name)} has shape [${shape}], which ${type} cannot hold`);
			if (offset % alignment !== 0)
				throw this.#malformed(
					`tensor ${quoteName(name)} is at offset ${offset}, not a multiple of ${alignment}`,
				);
			if (dataStart + offset + byteLength > this.#file.size) {
				throw this.#malformed(
					`tensor ${quoteName(name)} ends after the end of the file: it is truncated, fetch it again`,
				);
			}
			if (tensors.has(name)) throw this.#malformed(`tensor ${quoteName(name)} appears twice`);
			tensors.set(name, { name, type, shape, file: this.#path, offset: dataStart + offset, byteLength });
		}
		return tensors;
	}

	#value(type: number, depth: number): GgufValue {
		const file = this.#file;
		switch (type) {
			case 0:
				return file.u8();
			case 1:
				return (file.u8() << 24) >> 24;
			case 2:
				return file.u16();
			case 3:
				return (file.u16() << 16) >> 16;
			case 4:
				return file.u32();
			case 5:
				return file.u32() | 0;
			case 6:
				return file.f32();
			case 7:
				return file.u8() !== 0;
			case 8:
				return this.#string();
			case 9:
				return this.#array(depth + 1);
			case 10:
				return narrow(file.u64());
			case 11:
				return narrow(BigInt.asIntN(64, file.u64()));
			case 12:
				return file.f64();
			default:
				throw this.#malformed(`metadata has the unknown value type ${type}`);
		}
	}

	#array(depth: number): GgufValue[] {
		if (depth > DEEPEST_ARRAY) throw this.#malformed("metadata arrays are nested too deeply");
		const type = this.#file.u32();
		const length = this.#count("array elements", VALUE_BYTES[type] ?? 1);
		const values: GgufValue[] = [];
		for (let i = 0; i < length; i++) values.push(this.#value(type, depth));
		return values;
	}

	#string(): string {
		const length = this.#size("a string length");
		if (length > LARGEST_STRING) throw this.#malformed(`a string of ${length} bytes is too long`);
		return this.#file.text(length);
	}

	/** A count of things that the rest of the file could hold, at `bytesEach` or more. */
	#count(what: string, bytesEach: number): number {
		const count = this.#size(`the number of ${what}`);
		if (count > LARGEST_COUNT || count * bytesEach > this.#file.size - this.#file.position)
			throw this.#malformed(`${count} ${what} do not fit in it: it is damaged or truncated, fetch it again`);
		return count;
	}

	#size(what: string): number {
		const size = this.#file.size64();
		if (size > Number.MAX_SAFE_INTEGER) throw this.#malformed(`${what} is ${size}`);
		return size;
	}

	#malformed(reason: string): DynError {
		return new DynError("MODEL_FORMAT", `${this.#path} is not a usable GGUF file: ${reason}`, {
			details: { file: this.#path },
		});
	}
}

/** A number where it is exact, else the bigint. */
function narrow(value: bigint): number | bigint {
	return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER)
		? Number(value)
		: value;
}
