// SPDX-License-Identifier: Apache-2.0
import { StringDecoder } from "node:string_decoder";
import { DynError } from "@dyn/common";

/** Largest event: a session's opaque state may be large. */
const MAX_EVENT_CHARACTERS = 16 << 20;

/** The data of server-sent events, one string per event (html.spec.whatwg.org, "Server-sent events"). */
export async function* sseData(source: AsyncIterable<Buffer>): AsyncGenerator<string, void> {
	const decoder = new StringDecoder("utf8");
	let rest = "";
	let data: string[] = [];
	let size = 0;
	for await (const part of source) {
		const text = decoder.write(part);
		rest += text;
		// Looked through once it has a line: a long one comes in many parts.
		const lines = text.includes("\n") ? rest.split("\n") : [rest];
		rest = lines.pop()!;
		for (const line of lines) {
			const field = line.endsWith("\r") ? line.slice(0, -1) : line;
			if (field.startsWith("data:")) {
				data.push(field.slice(field[5] === " " ? 6 : 5));
				size += field.length;
			} else if (field === "" && data.length > 0) {
				yield data.join("\n");
				data = [];
				size = 0;
			}
		}
		if (size + rest.length > MAX_EVENT_CHARACTERS)
			throw new DynError(
				"PAYLOAD_TOO_LARGE",
				`the server sent an event of more than ${MAX_EVENT_CHARACTERS} characters`,
			);
	}
}
