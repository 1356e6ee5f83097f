// SPDX-License-Identifier: Apache-2.0
import { open } from "node:fs/promises";
import { DynError } from "@dyn/common";

export interface ReceiveOptions {
	/** Bytes that the file has already and keeps; 0 writes it anew. */
	readonly from: number;
	/** Bytes that the whole file may have; null when nobody knows. */
	readonly limit: number | null;
	/** Called after every piece with the bytes of the file so far. */
	readonly onReceived: (bytes: number) => void;
}

/**
 * Writes pieces to a file and to the disk (fsync); gives its size.
 * @throws DynError MODEL_UNAVAILABLE when more comes than `limit`; errors of the pieces and of the file system
 */
export async function receiveFile(
	pieces: AsyncIterable<Uint8Array>,
	path: string,
	{ from, limit, onReceived }: ReceiveOptions,
): Promise<number> {
	const file = await open(path, from > 0 ? "a" : "w");
	try {
		let size = from;
		for await (const piece of pieces) {
			size += piece.length;
			if (limit !== null && size > limit)
				throw new DynError(
					"MODEL_UNAVAILABLE",
					`${path} would get more than its ${limit} bytes; pull it again`,
					{
						retryable: false,
					},
				);
			await file.appendFile(piece);
			onReceived(size);
		}
		await file.sync();
		return size;
	} finally {
		await file.close();
	}
}
