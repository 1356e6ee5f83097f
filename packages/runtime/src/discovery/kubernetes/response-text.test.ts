// SPDX-License-Identifier: Apache-2.0
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { lines, wholeText } from "./response-text.js";

const streamOf = (...chunks: readonly Uint8Array[]) => Readable.from(chunks, { objectMode: true });

test("lines come out whole however they are cut, and an unfinished one does not", async () => {
	const bytes = Buffer.from('{"a":"日"}\n\n{"b":2}\n{"c":');
	for (let cut = 0; cut <= bytes.length; cut++) {
		const told: string[] = [];
		for await (const line of lines(streamOf(bytes.subarray(0, cut), bytes.subarray(cut)), 100))
			told.push(line);
		expect(told).toEqual(['{"a":"日"}', '{"b":2}']);
	}
});

test("what is longer than allowed is an error, not memory", async () => {
	const endless = streamOf(Buffer.alloc(60), Buffer.alloc(60));
	await expect(lines(endless, 100).next()).rejects.toThrow("a line of more than 100 bytes");
	await expect(wholeText(streamOf(Buffer.alloc(60), Buffer.alloc(60)), 100)).rejects.toThrow(
		"more than 100 bytes",
	);
	expect(
		await wholeText(streamOf(Buffer.from("日").subarray(0, 1), Buffer.from("日").subarray(1)), 100),
	).toBe("日");
});
