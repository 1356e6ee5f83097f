// SPDX-License-Identifier: Apache-2.0
import { type FileHandle, open } from "node:fs/promises";
import { PassThrough, type Readable } from "node:stream";
import { createInflateRaw } from "node:zlib";
import { DynError } from "@dyn/common";

const END_OF_DIRECTORY = 0x06054b50;
const DIRECTORY_ENTRY = 0x02014b50;
const LOCAL_HEADER = 0x04034b50;

/**
 * Streams one member of a ZIP file (format: PKWARE APPNOTE; stored or deflated, no ZIP64, which wheels below 4 GiB do not need).
 * @throws DynError MODEL_UNAVAILABLE when the file is no ZIP or has no such member
 */
export async function openZipMember(
	path: string,
	member: string,
): Promise<{ readonly size: number; readonly stream: Readable }> {
	const file = await open(path, "r");
	try {
		const { size: fileSize } = await file.stat();
		const tail = await read(file, Math.max(0, fileSize - 65_557), Math.min(fileSize, 65_557), path);
		const end = tail.lastIndexOf(littleEndian(END_OF_DIRECTORY));
		if (end === -1 || end + 22 > tail.length) throw broken(path, "it is not a ZIP file");
		const directory = await read(file, tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12), path);
		for (let at = 0; at + 46 <= directory.length; ) {
			if (directory.readUInt32LE(at) !== DIRECTORY_ENTRY) throw broken(path, "its directory is damaged");
			const nameLength = directory.readUInt16LE(at + 28);
			const name = directory.toString("utf8", at + 46, at + 46 + nameLength);
			if (name === member) {
				const method = directory.readUInt16LE(at + 10);
				const [packed, size, offset] = [
					directory.readUInt32LE(at + 20),
					directory.readUInt32LE(at + 24),
					directory.readUInt32LE(at + 42),
				];
				const header = await read(file, offset, 30, path);
				if (header.readUInt32LE(0) !== LOCAL_HEADER) throw broken(path, "a member's header is damaged");
				const start = offset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
				if (method !== 0 && method !== 8) throw broken(path, `${member} is compressed by method ${method}`);
				if (start + packed > fileSize) throw broken(path, "it is truncated");
				const raw = file.createReadStream({ start, end: start + packed - 1, highWaterMark: 1 << 20 });
				const target = method === 8 ? createInflateRaw() : new PassThrough();
				raw.on("error", (error) => target.destroy(error));
				return { size, stream: raw.pipe(target) };
			}
			at += 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
		}
		throw broken(path, `it has no ${member}`);
	} catch (error) {
		await file.close();
		throw error;
	}
}

async function read(file: FileHandle, position: number, length: number, path: string): Promise<Buffer> {
	const buffer = Buffer.alloc(length);
	const { bytesRead } = await file.read(buffer, 0, length, position);
	if (bytesRead !== length) throw broken(path, "it is truncated");
	return buffer;
}

function littleEndian(value: number): Buffer {
	const buffer = Buffer.alloc(4);
	buffer.writeUInt32LE(value);
	return buffer;
}

function broken(path: string, reason: string): DynError {
	return new DynError("MODEL_UNAVAILABLE", `${path} cannot be unpacked: ${reason}; pull the model again`);
}
