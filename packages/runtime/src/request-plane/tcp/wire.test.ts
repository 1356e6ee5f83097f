// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { decodeLlmEngineOutput, decodePreprocessedRequest } from "@dyn/protocols/dynamo";
import { describe, expect, it } from "vitest";
import { ByteQueue } from "./byte-queue.js";
import { decodeControlHeader, encodeControlHeader } from "./control-header.js";
import {
	encodeAck,
	encodeRequestFrame,
	refusalError,
	refusals,
	takeAck,
	takeRequestFrame,
} from "./request-frame.js";
import { unwrapItem, wrapItem } from "./stream-item.js";
import { encodeTwoPart, takeTwoPart } from "./two-part.js";
import { decodeBody, encodeBody, type WireFormat } from "./wire-format.js";

const fixtures = fileURLToPath(new URL("__fixtures__", import.meta.url));
const queueOf = (...chunks: Uint8Array[]): ByteQueue => {
	const queue = new ByteQueue();
	for (const chunk of chunks) queue.push(Buffer.from(chunk));
	return queue;
};
function* all<T>(take: () => T | null): Generator<T, void> {
	for (let each = take(); each !== null; each = take()) yield each;
}

// Recorded between a stock frontend and a stock worker of Dynamo 1.6.1.
describe.each([
	["stock-msgpack", "msgpack"],
	["stock-two", "msgpack"],
	["stock-json", "json"],
	["stock-cancel", "json"],
] as const)("%s", (name, format: WireFormat) => {
	const read = (file: string) => readFileSync(`${fixtures}/${name}/${file}`);
	const reencode = (body: Buffer) => Buffer.from(encodeBody(decodeBody(body, format), format));

	it("requests decode, and re-encode byte for byte", () => {
		const bytes = read("request.bin");
		const queue = queueOf(bytes);
		const frames = [...all(() => takeRequestFrame(queue))];
		expect(Buffer.concat(frames.map(encodeRequestFrame))).toEqual(bytes);
		for (const { path, payload } of frames) {
			const { header, body } = takeTwoPart(queueOf(payload))!;
			const control = decodeControlHeader(header);
			expect(encodeControlHeader(control).toString()).toBe(header.toString());
			expect(control.format).toBe(format);
			expect(path).toMatch(/^[0-9a-f]+\/dynamo\/backend\/generate$/);
			expect(encodeTwoPart(header, reencode(body))).toEqual(payload);
			const request = decodePreprocessedRequest(decodeBody(body, format));
			expect(request).toMatchObject({ model: "tiny", stop: { stopTokenIds: [2] } });
			expect(request.tokenIds.slice(0, 3)).toEqual([1, 9690, 198]);
		}
	});

	it("answers decode, and re-encode byte for byte", () => {
		const bytes = read("response.bin");
		const queue = queueOf(bytes);
		const frames = [...all(() => takeTwoPart(queue))];
		const again = frames.map(({ header, body }) =>
			encodeTwoPart(header.length ? header : null, body.length ? reencode(body) : null),
		);
		expect(Buffer.concat(again)).toEqual(bytes.subarray(0, bytes.length - queue.length));
		const items = frames
			.filter(({ body }) => body.length > 0)
			.map(({ body }) => unwrapItem(decodeBody(body, format)));
		const outputs = items.flatMap((each) => (each.kind === "item" ? [decodeLlmEngineOutput(each.item)] : []));
		expect(outputs.length).toBeGreaterThan(2);
		expect(outputs[0]!.tokenIds).toHaveLength(1);
		if (name === "stock-cancel") return; // broke off
		expect(items.at(-1)).toEqual({ kind: "end" });
		expect(outputs.at(-1)).toMatchObject({ finishReason: "length", usage: { promptTokens: 31 } });
	});

	it("acknowledgements decode, and re-encode byte for byte", () => {
		const bytes = read("ack.bin");
		const queue = queueOf(bytes);
		expect(Buffer.concat([...all(() => takeAck(queue))].map(encodeAck))).toEqual(bytes);
	});

	it("whatever the pieces in which they come", () => {
		const bytes = read("request.bin");
		const queue = new ByteQueue();
		let frames = 0;
		for (const byte of bytes) {
			queue.push(Buffer.of(byte));
			if (takeRequestFrame(queue)) frames++;
		}
		expect(frames).toBe(name === "stock-two" ? 2 : 1);
		expect(queue.length).toBe(0);
	});

	if (readdirSync(`${fixtures}/${name}`).includes("control.bin"))
		it("the word to stop is known", () => {
			expect(takeTwoPart(queueOf(read("control.bin")))!.header.toString()).toBe('"kill"');
		});
});

describe("golden bytes", () => {
	it("of a request frame", () => {
		const control = encodeControlHeader({
			id: "r1",
			format: "json",
			address: "127.0.0.1:5000",
			subject: "s1",
		});
		const body = Buffer.from(
			'{"model":"m","token_ids":[1,2,3],"stop_conditions":{"max_tokens":4},"sampling_options":{},"output_options":{},"eos_token_ids":[],"mdc_sum":null,"annotations":[],"router_config_override":null}',
		);
		const frame = encodeRequestFrame({
			path: "2a/generate",
			headers: { "request-id": "r1" },
			payload: encodeTwoPart(control, body),
		});
		expect(frame).toHaveLength(495);
		expect(createHash("sha256").update(frame).digest("hex")).toBe(
			"a15de1283a290358517650b3866e5c6c29eef2343090cbfaa5b51c7d98897610",
		);
	});

	it("of an item", () => {
		const item = encodeTwoPart(null, encodeBody(wrapItem({ token_ids: [42] }, false), "json"));
		expect(item.subarray(24).toString()).toBe('{"data":{"data":{"token_ids":[42]}},"complete_final":false}');
		expect(item.readBigUInt64BE(8)).toBe(0x3bn);
	});
});

describe("what cannot be a frame is refused", () => {
	it("at lengths beyond reason", () => {
		expect(() => takeTwoPart(queueOf(Buffer.alloc(24, 0xff)))).toThrow("is no frame");
		const request = Buffer.from("0000" + "0000" + "ffffffff", "hex");
		expect(() => takeRequestFrame(queueOf(request))).toThrow("exceeds the limit");
		expect(() => takeAck(queueOf(Buffer.from("ffffffff", "hex")))).toThrow("is no answer");
	});

	it("with headers that are no object", () => {
		const frame = Buffer.from("0000" + "0002" + "5b5d" + "00000000", "hex");
		expect(() => takeRequestFrame(queueOf(frame))).toThrow("no JSON object");
	});

	it.each(["{}", "null", "{", '{"id":"a"}', '{"id":1,"connection_info":{"info":"{}"}}'])(
		"with the control header %s",
		(text) => {
			expect(() => decodeControlHeader(Buffer.from(text))).toThrow("control header");
		},
	);

	it("and a refusal says whether others may do better", () => {
		expect(refusalError(refusals.overloaded("full"))).toMatchObject({
			code: "OVERLOADED",
			rawMessage: "full",
		});
		expect(refusalError(refusals.unavailable("unknown"))).toMatchObject({ code: "UNAVAILABLE" });
		expect(refusalError("")).toBeNull();
	});
});
