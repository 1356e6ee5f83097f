// SPDX-License-Identifier: Apache-2.0
import { createReadStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { PassThrough, pipeline } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { DynError } from "@dyn/common";

const END_OF_DIRECTORY = Buffer.from("PK\u0005\u0006");
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;
/** The end record and the longest comment after it. */
const LONGEST_TAIL = 22 + 65_535;

export interface ZipMember {
	/** Bytes when unpacked, as the archive says; `read` may bring more from an archive that lies. */
	readonly size: number;
	/** The unpacked bytes. Errors are DynError MODEL_UNAVAILABLE. */
	read(): AsyncIterable<Buffer>;
}

/**
 * Finds one member of a ZIP file (format: PKWARE APPNOTE; stored or deflated; no ZIP64, which wheels below 4 GiB do not
 * need). Its checksum is not looked at: the caller has a better one.
 * @throws DynError MODEL_UNAVAILABLE when the file is no ZIP, is damaged or has no such member
 */
export async function findZipMember(path: string, member: string): Promise<ZipMember> {
	const file = await open(path, "r");
	try {
		const { size: fileSize } = await file.stat();
		const read = (position: number, length: number) => readAt(file, position, length, fileSize, path);
		const tail = await read(Math.max(0, fileSize - LONGEST_TAIL), Math.min(fileSize, LONGEST_TAIL));
		const end = tail.lastIndexOf(END_OF_DIRECTORY);
		if (end === -1 || end + 22 > tail.length) throw broken(path, "it is not a ZIP file");
		const directory = await read(tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
		for (let at = 0; at + 46 <= directory.length; ) {
			if (directory.readUInt32LE(at) !== DIRECTORY_ENTRY) throw broken(path, "its directory is damaged");
			const nameLength = directory.readUInt16LE(at + 28);
			if (directory.toString("utf8", at + 46, at + 46 + nameLength) === member) {
				const method = directory.readUInt16LE(at + 10);
				const packed = directory.readUInt32LE(at + 20);
				const offset = directory.readUInt32LE(at + 42);
				const header = await read(offset, 30);
				const start = offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
				if (header.readUInt32LE(0) !== LOCAL_HEADER) throw broken(path, "a member's header is damaged");
				if (method !== 0 && method !== 8) throw broken(path, `${member} is compressed by method ${method}`);
				if (start + packed > fileSize) throw broken(path, "it is truncated");
				return {
					size: directory.readUInt32LE(at + 24),
					read: () => unpack(path, start, packed, method === 8),
				};
			}
			at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
		}
		throw broken(path, `it has no ${member}`);
	} finally {
		await file.close();
	}
}

async function* unpack(
	path: string,
	start: number,
	packed: number,
	deflated: boolean,
): AsyncGenerator<Buffer> {
	if (packed === 0) return;
	const raw = createReadStream(path, { start, end: start + packed - 1, highWaterMark: 1 << 20 });
	// The callback only keeps errors from being thrown; the iteration below meets them too.
	const unpacked = pipeline(raw, deflated ? createInflateRaw() : new PassThrough(), () => {});
	try {
		yield* unpacked;
	} catch (error) {
		throw broken(path, (error as Error).message, error);
	}
}

async function readAt(
	file: FileHandle,
	position: number,
	length: number,
	fileSize: number,
	path: string,
): Promise<Buffer> {
	if (position + length > fileSize) throw broken(path, "it is truncated");
	const buffer = Buffer.alloc(length);
	const { bytesRead } = await file.read(buffer, 0, length, position);
	if (bytesRead !== length) throw broken(path, "it is truncated");
	return buffer;
}

function broken(path: string, reason: string, cause?: unknown): DynError {
	return new DynError("MODEL_UNAVAILABLE", `${path} cannot be unpacked: ${reason}; pull the model again`, {
		cause,
	});
}
