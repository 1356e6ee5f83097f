// SPDX-License-Identifier: Apache-2.0
import { crc32, deflateRawSync } from "node:zlib";

export interface ZipEntry {
	readonly name: string;
	readonly data: Uint8Array;
	readonly deflate: boolean;
}

/** A ZIP file: local headers with data, directory, end record. */
export function encodeZip(entries: readonly ZipEntry[]): Buffer {
	const parts: Buffer[] = [];
	const directory: Buffer[] = [];
	let offset = 0;
	for (const { name, data, deflate } of entries) {
		const packed = deflate ? deflateRawSync(data) : Buffer.from(data);
		const common = Buffer.alloc(26); // version needed ... extra length, the same in both headers
		common.writeUInt16LE(20, 0);
		common.writeUInt16LE(deflate ? 8 : 0, 4);
		common.writeUInt32LE(crc32(data), 10);
		common.writeUInt32LE(packed.length, 14);
		common.writeUInt32LE(data.length, 18);
		common.writeUInt16LE(Buffer.byteLength(name), 22);
		parts.push(Buffer.from("PK\u0003\u0004"), common, Buffer.from(name), packed);
		const rest = Buffer.alloc(14);
		rest.writeUInt32LE(offset, 10);
		directory.push(Buffer.from("PK\u0001\u0002\u0014\u0000"), common, rest, Buffer.from(name));
		offset += 30 + Buffer.byteLength(name) + packed.length;
	}
	const list = Buffer.concat(directory);
	const end = Buffer.alloc(18);
	end.writeUInt16LE(entries.length, 4);
	end.writeUInt16LE(entries.length, 6);
	end.writeUInt32LE(list.length, 8);
	end.writeUInt32LE(offset, 12);
	return Buffer.concat([...parts, list, Buffer.from("PK\u0005\u0006"), end]);
}
