// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { frameOf, headersFrame, u32 } from "../http2/__fixtures__/raw-server.js";
import { FrameFlag, FrameType } from "../http2/frames.js";
import { all, ECHO, end, message, START, serve } from "./__fixtures__/echo-server.js";
import { prefixed } from "./message-reader.js";

describe("answers", () => {
	it("come message by message, however they lie in frames", async () => {
		const { pool } = await serve((stream) => {
			const wire = Buffer.concat(["a", "bb", "", "dddd"].map((text) => prefixed(Buffer.from(text))));
			const frames = [wire.subarray(0, 3), wire.subarray(3, 8), wire.subarray(8)];
			return Buffer.concat([
				headersFrame(stream, [[":status", "103"]]),
				headersFrame(stream, START),
				...frames.map((piece) => frameOf(FrameType.DATA, 0, stream, piece)),
				frameOf(
					FrameType.DATA,
					FrameFlag.PADDED,
					stream,
					Buffer.concat([Buffer.from([2]), prefixed(Buffer.from("e")), Buffer.alloc(2)]),
				),
				end(stream, "0"),
			]);
		});
		expect(await all(pool)).toEqual(["a", "bb", "", "dddd", "e"]);
	});

	const failures: readonly [
		what: string,
		answer: (stream: number) => Buffer[],
		code: string,
		text: string,
	][] = [
		[
			"a status at once",
			(s) => [headersFrame(s, [...START, ["grpc-status", "8"], ["grpc-message", "f%C3%BCll"]], true)],
			"OVERLOADED",
			"füll",
		],
		[
			"a status after messages",
			(s) => [headersFrame(s, START), message(s, "a"), end(s, "3", "no%")],
			"INVALID_ARGUMENT",
			"no%",
		],
		[
			"no status",
			(s) => [headersFrame(s, START), message(s, "a", FrameFlag.END_STREAM)],
			"INTERNAL",
			"without a status",
		],
		["a status that is none", (s) => [headersFrame(s, START), end(s, "0x0")], "INTERNAL", "without a status"],
		[
			"no gRPC",
			(s) => [
				headersFrame(s, [
					[":status", "200"],
					["content-type", "text/html"],
				]),
			],
			"INTERNAL",
			"not with gRPC",
		],
		[
			"a proxy's word",
			(s) => [headersFrame(s, [[":status", "503"]], true)],
			"UNAVAILABLE",
			"HTTP status 503",
		],
		[
			"half a message",
			(s) => [
				headersFrame(s, START),
				frameOf(FrameType.DATA, 0, s, prefixed(Buffer.from("abc")).subarray(0, 6)),
				end(s, "0"),
			],
			"INTERNAL",
			"within a message",
		],
		[
			"a compressed message",
			(s) => [headersFrame(s, START), frameOf(FrameType.DATA, 0, s, Buffer.from("0100000000", "hex"))],
			"INTERNAL",
			"compressed",
		],
		[
			"a message that is too large",
			(s) => [headersFrame(s, START), frameOf(FrameType.DATA, 0, s, Buffer.from("0000010001", "hex"))],
			"PAYLOAD_TOO_LARGE",
			"65537 bytes",
		],
		["a refused stream", (s) => [frameOf(FrameType.RST_STREAM, 0, s, u32(7))], "UNAVAILABLE", "code 7"],
		["a cancelled stream", (s) => [frameOf(FrameType.RST_STREAM, 0, s, u32(8))], "DISCONNECTED", "code 8"],
		[
			"a goodbye that leaves it out",
			() => [frameOf(FrameType.GOAWAY, 0, 0, Buffer.concat([u32(0, 2), Buffer.from("maintenance")]))],
			"UNAVAILABLE",
			"maintenance",
		],
		["a broken protocol", (s) => [message(s, "a")], "UNAVAILABLE", "broke the HTTP/2 protocol"],
	];
	it.each(failures)("fail by %s", async (_, answer, code, text) => {
		const { pool } = await serve((stream) => Buffer.concat(answer(stream)), { maxMessageBytes: 2 ** 16 });
		await expect(all(pool)).rejects.toMatchObject({ code, message: expect.stringContaining(text) });
		await expect(pool.unary(ECHO, "x")).rejects.toMatchObject({ code });
	});

	it("to one question are one message", async () => {
		const { pool } = await serve((stream, call) =>
			Buffer.concat([
				headersFrame(stream, START),
				...Array.from({ length: call }, () => message(stream, "a")),
				end(stream, "0"),
			]),
		);
		await expect(pool.unary(ECHO, "x")).rejects.toThrow("the answer has no message");
		expect(await pool.unary(ECHO, "x")).toBe("a");
		await expect(pool.unary(ECHO, "x")).rejects.toThrow("answered twice");
	});

	it("that cannot be read fail, and leave others alone", async () => {
		const { pool } = await serve((stream) =>
			Buffer.concat([headersFrame(stream, START), message(stream, "a"), end(stream, "0")]),
		);
		const method = {
			...ECHO,
			deserialize: () => {
				throw new Error("gibberish");
			},
		};
		await expect(pool.unary(method, "x")).rejects.toMatchObject({
			code: "INTERNAL",
			message: expect.stringContaining("gibberish"),
		});
		expect(await all(pool)).toEqual(["a"]);
	});
});
