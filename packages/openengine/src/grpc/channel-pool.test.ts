// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { frameOf, headersFrame, startRawServer, u32 } from "../http2/__fixtures__/raw-server.js";
import { FrameType } from "../http2/frames.js";
import { all, closers, ECHO, end, message, START, serve } from "./__fixtures__/echo-server.js";
import { createGrpcChannelPool } from "./channel-pool.js";

describe("a caller", () => {
	it("who leaves, aborts or runs out of time ends the call at the server", async () => {
		const codes: number[] = [];
		let reset = () => {};
		const { pool } = await serve(
			(stream) => Buffer.concat([headersFrame(stream, START), message(stream, "a")]),
			{},
			({ type, payload }) => {
				if (type !== FrameType.RST_STREAM) return;
				codes.push(payload.readUInt32BE(0));
				reset();
			},
		);
		const told = () =>
			new Promise<void>((resolve) => {
				reset = resolve;
			});
		let next = told();
		for await (const _ of pool.stream(ECHO, "x")) break;
		await next;
		next = told();
		const abort = new AbortController();
		const items = pool.stream(ECHO, "x", { signal: abort.signal });
		expect((await items.next()).value).toBe("a");
		abort.abort();
		await expect(items.next()).rejects.toMatchObject({ code: "CANCELLED" });
		await next;
		next = told();
		await expect(pool.unary(ECHO, "x", { timeoutMs: 30 })).rejects.toMatchObject({
			code: "DEADLINE_EXCEEDED",
		});
		await next;
		expect(codes).toEqual([8, 8, 8]);
		await expect(all(pool, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "CANCELLED" });
		await expect(pool.unary(ECHO, "x", { signal: AbortSignal.abort() })).rejects.toMatchObject({
			code: "CANCELLED",
		});
	});

	it("who does not read holds up the server", async () => {
		let granted = 0;
		const count = 40_000; // of 6 bytes: less than a window
		const { pool, server } = await serve(
			(stream, call) =>
				Buffer.concat([
					headersFrame(stream, START),
					message(stream, "a"),
					...(call === 0 ? [] : [end(stream, "0")]),
				]),
			{},
			({ type, stream, payload }) => {
				if (type === FrameType.WINDOW_UPDATE && stream > 0) granted += payload.readUInt32BE(0);
			},
		);
		const items = pool.stream(ECHO, "x");
		await items.next();
		server.sockets[0]!.write(Buffer.concat(Array.from({ length: count }, () => message(1, "b"))));
		await pool.unary(ECHO, "x"); // answered after all of it
		await pool.unary(ECHO, "x"); // asked after what all of it brought about
		expect(granted).toBe(0);
		for (let i = 0; i < count; i++) expect((await items.next()).value).toBe("b");
		await pool.unary(ECHO, "x");
		expect(granted).toBeGreaterThan(count);
		await items.return!();
	});

	it("cannot send what is too large, or metadata that is none", async () => {
		const { pool } = await serve(() => Buffer.alloc(0), { maxMessageBytes: 10 });
		await expect(pool.unary(ECHO, "x".repeat(11))).rejects.toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
		await expect(pool.unary(ECHO, "x", { metadata: { key: "a\r\nb: c" } })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
		await expect(all(pool, { metadata: { "Bad Key": "a" } })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
		await expect(createGrpcChannelPool({ endpoint: "nowhere" })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
	});
});

describe("a connection", () => {
	const answer = (stream: number) =>
		Buffer.concat([headersFrame(stream, START), message(stream, "a"), end(stream, "0")]);

	it("is waited for, made when the server comes, and made again when it was lost", async () => {
		const probe = createServer().listen(0, "127.0.0.1");
		await once(probe, "listening");
		const { port } = probe.address() as AddressInfo;
		probe.close();
		const pool = await createGrpcChannelPool({
			endpoint: `http://127.0.0.1:${port}/`,
			connections: 1,
			retryIntervalMs: 5,
		});
		closers.push(() => pool.close());
		const refused = {
			code: "UNAVAILABLE",
			retryable: true,
			message: expect.stringContaining("ECONNREFUSED"),
		};
		await expect(all(pool)).rejects.toMatchObject(refused);
		await expect(pool.connect({ startupDeadlineMs: 20 })).rejects.toMatchObject({ code: "UNAVAILABLE" });
		const byName = await createGrpcChannelPool({ endpoint: `localhost:${port}`, connections: 1 });
		closers.push(() => byName.close());
		await expect(all(byName)).rejects.toMatchObject(refused);
		const waiting = pool.connect();
		const server = await startRawServer((socket, stream) => socket.write(answer(stream)), { port });
		closers.push(() => server.close());
		await waiting;
		expect(await pool.unary(ECHO, "x")).toBe("a");
		server.sockets[0]!.destroy();
		await once(server.sockets[0]!, "close");
		await expect.poll(() => pool.unary(ECHO, "x").catch(() => "")).toBe("a");
		expect(server.sockets).toHaveLength(2);
	});

	it("that the server says goodbye to is replaced", async () => {
		const { pool, server } = await serve((stream, call) =>
			call === 0
				? Buffer.concat([frameOf(FrameType.GOAWAY, 0, 0, u32(stream, 0)), answer(stream)])
				: answer(stream),
		);
		for (let i = 0; i < 3; i++) expect(await pool.unary(ECHO, "x")).toBe("a");
		expect(server.sockets).toHaveLength(2);
	});

	it("that the server says goodbye to ends with the pool, if its calls have not", async () => {
		const { pool } = await serve((stream, call) =>
			call === 0
				? Buffer.concat([
						frameOf(FrameType.GOAWAY, 0, 0, u32(stream, 0)),
						headersFrame(stream, START),
						message(stream, "a"),
					])
				: answer(stream),
		);
		const items = pool.stream(ECHO, "x");
		expect((await items.next()).value).toBe("a");
		expect(await pool.unary(ECHO, "x")).toBe("a");
		pool.close();
		await expect(items.next()).rejects.toMatchObject({ code: "UNAVAILABLE" });
	});

	it("is not waited for any longer than told, or after closing", async () => {
		const server = createServer(() => {}).listen(0, "127.0.0.1");
		closers.push(() => server.close());
		await once(server, "listening");
		const { port } = server.address() as AddressInfo;
		const pool = await createGrpcChannelPool({
			endpoint: `127.0.0.1:${port}`,
			connectTimeoutMs: 30,
			retryIntervalMs: 5,
		});
		await expect(pool.connect({ startupDeadlineMs: 100 })).rejects.toThrow(
			"no HTTP/2 server answered within 30 ms",
		);
		const abort = new AbortController();
		const connecting = pool.connect({ signal: abort.signal });
		abort.abort();
		await expect(connecting).rejects.toMatchObject({ code: "CANCELLED" });
		const closing = pool.connect();
		pool.close();
		await expect(closing).rejects.toMatchObject({ code: "UNAVAILABLE" });
		await expect(pool.unary(ECHO, "x")).rejects.toThrow("the client is closed");
	});
});
