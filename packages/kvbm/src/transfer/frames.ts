// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/**
 * Protocol "dyn-kv/1", little-endian. The asking side sends `DKV1`, u32 first block, u16 length and bytes of the session id.
 * The holder answers u32 number of blocks (0xffffffff: no such session) and u32 bytes of a block, then the blocks from the
 * first one asked for. The asking side closes with one byte 1 when it has them all, or wants none; then the holder lets
 * them go.
 */
export const PROTOCOL = "dyn-kv/1";
/** `KvSession.transferBackend` of sessions that are collected in this way. */
export const BACKEND = "dyn-tcp";
export const MAGIC = 0x31564b44;
export const NO_SUCH_SESSION = 0xffff_ffff;
export const ANSWER_BYTES = 8;
/** As the first block: none of them. */
export const NO_BLOCK = 0xffff_ffff;
/** Magic, first block, length. */
export const ASK_HEAD_BYTES = 10;
/** Longest session id, bytes. */
export const MAX_SESSION_ID = 256;

export function encodeAsk(sessionId: string, firstBlock: number): Buffer {
	const id = Buffer.from(sessionId);
	const head = Buffer.alloc(ASK_HEAD_BYTES);
	head.writeUInt32LE(MAGIC, 0);
	head.writeUInt32LE(firstBlock, 4);
	head.writeUInt16LE(id.length, 8);
	return Buffer.concat([head, id]);
}

export function encodeAnswer(numBlocks: number, blockBytes: number): Buffer {
	const answer = Buffer.alloc(ANSWER_BYTES);
	answer.writeUInt32LE(numBlocks, 0);
	answer.writeUInt32LE(blockBytes, 4);
	return answer;
}

/** Reads exact numbers of bytes from a stream of chunks. */
export class ByteReader {
	readonly #chunks: AsyncIterator<Buffer>;
	#rest: Buffer = Buffer.alloc(0);

	constructor(chunks: AsyncIterable<Buffer>) {
		this.#chunks = chunks[Symbol.asyncIterator]();
	}

	/** @throws DynError DISCONNECTED when the stream ends before */
	async read(bytes: number): Promise<Buffer> {
		const parts: Buffer[] = [];
		let missing = bytes;
		for (;;) {
			const part = this.#rest.subarray(0, missing);
			this.#rest = this.#rest.subarray(part.length);
			parts.push(part);
			missing -= part.length;
			if (missing === 0) return parts.length === 1 ? part : Buffer.concat(parts, bytes);
			const next = await this.#chunks.next();
			if (next.done)
				throw new DynError("DISCONNECTED", "the holder of the KV blocks closed the connection; try again");
			this.#rest = next.value;
		}
	}
}
