// SPDX-License-Identifier: Apache-2.0

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { collect } from "./__fixtures__/collected.js";
import { frameOf, headersFrame, type RawServer, startRawServer, u32 } from "./__fixtures__/raw-server.js";
import { Http2Connection, type Http2ConnectionOptions } from "./connection.js";
import { CONNECTION_WINDOW_BYTES } from "./frame-receiver.js";
import { FrameFlag, FrameType, settingsFrame } from "./frames.js";
import { STREAM_WINDOW_BYTES } from "./stream.js";

const closers: (() => void)[] = [];
afterEach(() => {
	for (const close of closers.splice(0)) close();
});

function connectTo(port: number, options: Partial<Http2ConnectionOptions> = {}): Http2Connection {
	const times = { connectTimeoutMs: 5000, keepaliveTimeMs: 30_000, keepaliveTimeoutMs: 10_000 };
	const connection = new Http2Connection({ host: "127.0.0.1", port, ...times, ...options });
	closers.push(() => connection.close());
	return connection;
}

async function serve(...args: Parameters<typeof startRawServer>): Promise<RawServer> {
	const server = await startRawServer(...args);
	closers.push(() => server.close());
	return server;
}

const OK = (stream: number) => headersFrame(stream, [[":status", "200"]]);
const {
	DATA,
	HEADERS,
	CONTINUATION,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	PRIORITY,
} = FrameType;
const { END_HEADERS, PADDED, ACK } = FrameFlag;

describe("a server that breaks the protocol loses the connection", () => {
	const data = (size: number) => frameOf(DATA, 0, 1, Buffer.alloc(size));
	const many = (count: number, frame: Buffer) => Buffer.concat(Array.from({ length: count }, () => frame));
	it.each<[what: string, answer: Buffer, complaint: string]>([
		["data before headers", data(1), "data before headers"],
		["data of the connection", frameOf(DATA, 0, 0), "type 0 on stream 0"],
		["data on a stream that nobody opened", frameOf(DATA, 0, 5), "nobody opened"],
		["a stream of its own", headersFrame(2, [[":status", "200"]]), "nobody opened"],
		["a pushed stream", frameOf(PUSH_PROMISE, END_HEADERS, 1, u32(2)), "pushed"],
		["settings of a stream", frameOf(SETTINGS, 0, 1), "type 4 on stream 1"],
		["half a setting", frameOf(SETTINGS, 0, 0, Buffer.alloc(7)), "type 4 with 7 bytes"],
		["an acknowledgement with settings", frameOf(SETTINGS, ACK, 0, Buffer.alloc(6)), "type 4 with 6 bytes"],
		["a window beyond 2^31", settingsFrame([[4, 2 ** 31]]), "a window of 2147483648 bytes"],
		["frames that are too small", settingsFrame([[5, 100]]), "frames of at most 100 bytes"],
		["a short ping", frameOf(PING, 0, 0, u32(1)), "type 6 with 4 bytes"],
		["a long reset", frameOf(RST_STREAM, 0, 1, u32(1, 2)), "type 3 with 8 bytes"],
		["a short priority", frameOf(PRIORITY, 0, 1, u32(1)), "type 2 with 4 bytes"],
		["a short goodbye", frameOf(GOAWAY, 0, 0, u32(1)), "type 7 with 4 bytes"],
		["an update by nothing", frameOf(WINDOW_UPDATE, 0, 1, u32(0)), "by nothing"],
		["an overflowing window", many(2, frameOf(WINDOW_UPDATE, 0, 0, u32(2 ** 31 - 1))), "a window of"],
		[
			"an overflowing window of a stream",
			many(2, frameOf(WINDOW_UPDATE, 0, 1, u32(2 ** 31 - 1))),
			"a window of",
		],
		["a continuation of nothing", frameOf(CONTINUATION, END_HEADERS, 1), "wrong place"],
		["data among headers", Buffer.concat([frameOf(HEADERS, 0, 1), data(1)]), "wrong place"],
		[
			"another stream's headers among headers",
			Buffer.concat([frameOf(HEADERS, 0, 1), frameOf(CONTINUATION, 4, 3)]),
			"wrong place",
		],
		[
			"headers without end",
			Buffer.concat([frameOf(HEADERS, 0, 1), many(5, frameOf(CONTINUATION, 0, 1, Buffer.alloc(16_384)))]),
			"without end",
		],
		[
			"empty headers without end",
			Buffer.concat([frameOf(HEADERS, 0, 1), frameOf(CONTINUATION, 0, 1)]),
			"empty piece",
		],
		["headers that are none", frameOf(HEADERS, END_HEADERS, 1, Buffer.from([0x80])), "index 0"],
		[
			"padding beyond the frame",
			Buffer.concat([OK(1), frameOf(DATA, PADDED, 1, Buffer.from([9, 0]))]),
			"padding",
		],
		["padding without its length", Buffer.concat([OK(1), frameOf(DATA, PADDED, 1)]), "padding"],
		[
			"more than the stream's window",
			Buffer.concat([OK(1), many(STREAM_WINDOW_BYTES / 2 ** 14 + 1, data(2 ** 14))]),
			"sent more than it may",
		],
		["a frame that is too large", Buffer.from("ffffff", "hex"), ""],
	])("%s", async (_, answer, complaint) => {
		const server = await serve((socket) => socket.write(Buffer.concat([answer, Buffer.alloc(9, 0xff)])));
		const connection = connectTo(server.port);
		await connection.ready;
		const closed = once(server.sockets[0]!, "close");
		const { failure } = await collect(connection, Buffer.from("x"), [], false).answer;
		expect(failure).toMatchObject({ code: null, message: expect.stringContaining(complaint) });
		expect(failure!.message).toContain("broke the HTTP/2 protocol");
		expect(connection.isUsable).toBe(false);
		await closed;
	});

	it("speaks no HTTP/2 at all", async () => {
		const server = await serve(() => {}, { greeting: Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n") });
		await expect(connectTo(server.port).ready).rejects.toThrow("broke the HTTP/2 protocol");
	});

	it("begins with something else than settings", async () => {
		const server = await serve(() => {}, { greeting: frameOf(PING, 0, 0, u32(1, 2)) });
		await expect(connectTo(server.port).ready).rejects.toThrow("does not begin with settings");
	});
});

describe("a server that is silent", () => {
	it("before its settings is given up after the time for an attempt", async () => {
		const server = createServer(() => {});
		closers.push(() => server.close());
		server.listen(0, "127.0.0.1");
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		await expect(connectTo(port, { connectTimeoutMs: 50 }).ready).rejects.toThrow("within 50 ms");
	});

	it("later is given up when it does not answer a ping, and not while it answers", async () => {
		let pings = 0;
		const server = await serve((socket, stream) => socket.write(OK(stream)), {
			onFrame: (socket, { type, payload }) => {
				if (type === PING && ++pings <= 3) socket.write(frameOf(PING, ACK, 0, payload));
			},
		});
		const connection = connectTo(server.port, { keepaliveTimeMs: 20, keepaliveTimeoutMs: 60 });
		await connection.ready;
		expect((await collect(connection).answer).failure!.message).toContain("was silent for");
		expect(pings).toBe(4);
	});
});

describe("a server that wants to fill our memory", () => {
	it("by asking and not reading is given up", async () => {
		const ping = frameOf(PING, 0, 0, u32(1, 2));
		const pings = Buffer.concat(Array.from({ length: 10_000 }, () => ping));
		const server = await serve((socket) => {
			socket.pause();
			const more = (): void => {
				while (!socket.destroyed && socket.write(pings));
			};
			socket.on("drain", more);
			more();
		});
		const connection = connectTo(server.port);
		await connection.ready;
		const { failure } = await collect(connection).answer;
		expect(failure!.message).toMatch(/does not read the answers/);
	});

	it("by data of streams that are over has to wait as long as others", async () => {
		// All that the connection may carry at once, and a byte more: it comes through, since nothing of it is kept.
		const pieces = CONNECTION_WINDOW_BYTES / 2 ** 14 + 1;
		const server = await serve((socket, stream) => {
			socket.write(headersFrame(stream, [[":status", "200"]], true));
			for (let i = 0; i < pieces; i++) socket.write(frameOf(DATA, 0, stream, Buffer.alloc(2 ** 14)));
		});
		const connection = connectTo(server.port);
		await connection.ready;
		expect((await collect(connection).answer).failure).toBeNull();
		expect((await collect(connection).answer).failure).toBeNull();
	});
});
