// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { sseData } from "./sse-data.js";

async function read(text: string, size: number): Promise<string[]> {
	const bytes = Buffer.from(text);
	const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
		bytes.subarray(i * size, (i + 1) * size),
	);
	const found: string[] = [];
	for await (const data of sseData(
		(async function* () {
			yield* parts;
		})(),
	))
		found.push(data);
	return found;
}

describe("server-sent events", () => {
	it.each([1, 2, 3, 7, 1000])("are the same however they are cut (%i bytes)", async (size) => {
		const text =
			': comment\n\nevent: x\ndata: {"a":"ä€😀"}\n\r\ndata:one\r\ndata:  two\r\n\r\nid: 5\n\ndata\n\ndata: [DONE]\n\ndata: cut off';
		expect(await read(text, size)).toEqual(['{"a":"ä€😀"}', "one\n two", "[DONE]"]);
	});
});
