// SPDX-License-Identifier: Apache-2.0
import type { Http2Connection } from "../connection.js";
import type { Header } from "../hpack/static-table.js";
import type { Http2Stream, StreamFailure } from "../stream.js";

/** What came of a request. */
export interface Collected {
	readonly headers: readonly Header[];
	readonly trailers: readonly Header[] | null;
	readonly body: Buffer;
	readonly failure: StreamFailure | null;
}

export const REQUEST: readonly Header[] = [
	[":method", "POST"],
	[":scheme", "http"],
	[":path", "/"],
	[":authority", "test"],
];

/** Sends a request and gathers what comes, granting room for more at once unless `reads` is false. */
export function collect(
	connection: Http2Connection,
	body: Buffer = Buffer.from("x"),
	headers: readonly Header[] = [],
	reads = true,
): { readonly stream: Http2Stream; readonly answer: Promise<Collected>; readonly received: () => number } {
	const blocks: (readonly Header[])[] = [];
	const pieces: Buffer[] = [];
	let received = 0;
	let stream!: Http2Stream;
	const answer = new Promise<Collected>((resolve) => {
		stream = connection.request([...REQUEST, ...headers], body, {
			onHeaders: (block) => blocks.push(block),
			onData: (bytes, start, end) => {
				pieces.push(Buffer.from(bytes.subarray(start, end)));
				received += end - start;
				if (reads) stream.consumed(end - start);
			},
			onEnd: (failure) =>
				resolve({ headers: blocks[0] ?? [], trailers: blocks[1] ?? null, body: Buffer.concat(pieces), failure }),
		});
	});
	return { stream, answer, received: () => received };
}
