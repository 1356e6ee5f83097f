// SPDX-License-Identifier: Apache-2.0
import type { Readable } from "node:stream";

const NEWLINE = 0x0a;

/** @throws Error beyond `maxBytes`, and when the connection breaks */
export async function wholeText(response: Readable, maxBytes: number): Promise<string> {
	const chunks: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		bytes += chunk.length;
		if (bytes > maxBytes) throw new Error(`more than ${maxBytes} bytes`);
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString("utf8");
}

/**
 * The lines of a stream, without empty ones and without one that was not ended.
 * @throws Error when a line is longer than `maxBytes`, and when the connection breaks
 */
export async function* lines(response: Readable, maxBytes: number): AsyncGenerator<string, void> {
	let parts: Buffer[] = [];
	let bytes = 0;
	for await (const chunk of response as AsyncIterable<Buffer>) {
		let start = 0;
		for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
			parts.push(chunk.subarray(start, end));
			const line = Buffer.concat(parts).toString("utf8");
			parts = [];
			bytes = 0;
			start = end + 1;
			if (line.trim() !== "") yield line;
		}
		parts.push(chunk.subarray(start));
		bytes += chunk.length - start;
		if (bytes > maxBytes) throw new Error(`a line of more than ${maxBytes} bytes`);
	}
}
