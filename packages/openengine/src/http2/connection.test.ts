// SPDX-License-Identifier: Apache-2.0
import { createHash, randomFillSync } from "node:crypto";
import { once } from "node:events";
import { createServer, type ServerHttp2Session, type ServerHttp2Stream, type Settings } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { collect } from "./__fixtures__/collected.js";
import { Http2Connection } from "./connection.js";
import { STREAM_WINDOW_BYTES } from "./stream.js";

const closers: (() => void)[] = [];
afterEach(() => {
	for (const close of closers.splice(0)) close();
});

/** Node's server: nghttp2, which takes nothing that the standard forbids. */
async function serve(
	onStream: (stream: ServerHttp2Stream, headers: Record<string, string>) => void,
	settings: Settings = {},
): Promise<{ connection: Http2Connection; session: ServerHttp2Session; socket: Socket }> {
	const server = createServer({ settings });
	server.on("stream", (stream, headers) => {
		stream.on("error", () => {}); // those that are cancelled
		onStream(stream, headers as Record<string, string>);
	});
	server.listen(0, "127.0.0.1");
	await once(server, "listening");
	const connected = once(server, "connection");
	const accepted = once(server, "session");
	const connection = new Http2Connection({
		host: "127.0.0.1",
		port: (server.address() as AddressInfo).port,
		connectTimeoutMs: 5000,
		keepaliveTimeMs: 30_000,
		keepaliveTimeoutMs: 10_000,
	});
	closers.push(
		() => connection.close(),
		() => server.close(),
	);
	const [[socket], [session]] = await Promise.all([connected, accepted, connection.ready]);
	return { connection, session, socket };
}

const echo = (stream: ServerHttp2Stream) => {
	stream.respond({ ":status": 200 });
	stream.pipe(stream);
};

describe("a connection to Node's server", () => {
	it("takes every character that a header may have", async () => {
		const values = Array.from({ length: 7 }, (_, i) =>
			Buffer.from(
				Array.from({ length: 32 }, (_, j) => 33 + i * 32 + j).filter((c) => c !== 127 && c < 256),
			).toString("latin1"),
		).map((value) => value.trim());
		const { connection } = await serve((stream) => {
			stream.respond(Object.fromEntries(values.map((value, i) => [`x-${i}`, value])));
			stream.end();
		});
		for (let turn = 0; turn < 2; turn++) {
			// The second time most of it comes from the table.
			const { headers } = await collect(connection).answer;
			for (const [i, value] of values.entries()) expect(headers).toContainEqual([`x-${i}`, value]);
		}
	});

	it("sends and takes large bodies whole, whatever the windows", async () => {
		for (const settings of [
			{},
			{ initialWindowSize: 1000, maxFrameSize: 100_000 },
			{ initialWindowSize: 2 ** 24 },
		]) {
			const { connection } = await serve(echo, settings);
			const body = randomFillSync(Buffer.alloc(5_000_000));
			const answers = await Promise.all([1, 2, 3].map((n) => collect(connection, body.subarray(n)).answer));
			for (const [i, answer] of answers.entries()) {
				expect(answer.failure).toBeNull();
				expect(digest(answer.body)).toBe(digest(body.subarray(i + 1)));
			}
		}
	});

	it("sends and takes header lists of several frames", async () => {
		const long: [string, string][] = Array.from({ length: 5 }, (_, i) => [
			`x-long-${i}`,
			`${i}`.repeat(7000),
		]);
		const { connection } = await serve(
			(stream, headers) => {
				stream.respond(Object.fromEntries(long.map(([name]) => [name, headers[name]!])));
				stream.end();
			},
			{ maxHeaderListSize: 2 ** 17 },
		);
		const { headers } = await collect(connection, Buffer.from("x"), long).answer;
		expect(headers.filter(([name]) => name.startsWith("x-long"))).toEqual(long);
	});

	it("says that it knows of a smaller header table, as nghttp2 wants it", async () => {
		const { connection } = await serve(echo, { headerTableSize: 0 });
		for (let turn = 0; turn < 3; turn++) expect((await collect(connection).answer).body.toString()).toBe("x");
	});

	it("takes trailers", async () => {
		const { connection } = await serve((stream) => {
			stream.respond({ ":status": 200 }, { waitForTrailers: true });
			stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
			stream.end("body");
		});
		expect(await collect(connection).answer).toMatchObject({
			trailers: [["grpc-status", "0"]],
			failure: null,
		});
	});

	it("keeps to the number of streams that the server takes at the same time", async () => {
		let running = 0;
		let most = 0;
		const { connection } = await serve(
			(stream) => {
				most = Math.max(most, ++running);
				setImmediate(() => {
					running--;
					stream.respond({ ":status": 200 });
					stream.end("done");
				});
			},
			{ maxConcurrentStreams: 3 },
		);
		const all = Array.from({ length: 20 }, () => collect(connection));
		all[19]!.stream.reset(); // it waits, and never begins
		const answers = await Promise.all(all.slice(0, 19).map(({ answer }) => answer));
		for (const { body } of answers) expect(body.toString()).toBe("done");
		expect(most).toBe(3);
	});

	it("lets the server send what fits the window, and more when it was read", async () => {
		const { connection } = await serve((stream) => {
			stream.respond({ ":status": 200 });
			stream.end(Buffer.alloc(STREAM_WINDOW_BYTES + 1000));
		});
		const { stream, answer, received } = collect(connection, Buffer.from("x"), [], false);
		// Others are not held up.
		while (received() < STREAM_WINDOW_BYTES) await collect(connection).answer;
		for (let i = 0; i < 5; i++) await collect(connection).answer;
		expect(received()).toBe(STREAM_WINDOW_BYTES);
		stream.consumed(STREAM_WINDOW_BYTES);
		expect((await answer).body).toHaveLength(STREAM_WINDOW_BYTES + 1000);
	});

	it("cancels a stream, and no other", async () => {
		const aborted: number[] = [];
		let onAborted = () => {};
		const { connection } = await serve((stream) => {
			stream.on("aborted", () => {
				aborted.push(stream.rstCode);
				onAborted();
			});
			stream.respond({ ":status": 200 });
			stream.write("some");
			stream.on("data", (chunk) => String(chunk) === "end" && stream.end("all"));
		});
		const { stream } = collect(connection);
		const other = collect(connection, Buffer.from("end"));
		const told = new Promise<void>((resolve) => {
			onAborted = resolve;
		});
		stream.reset();
		stream.reset();
		await told;
		expect(aborted).toEqual([8]);
		expect((await other.answer).body.toString()).toBe("someall");
	});

	it("finishes what runs when the server leaves, and takes nothing new", async () => {
		const streams: ServerHttp2Stream[] = [];
		const { connection, session } = await serve((stream) => {
			streams.push(stream);
			stream.respond({ ":status": 200 });
			stream.write("begun ");
		});
		const first = collect(connection);
		const second = collect(connection);
		while (second.received() === 0) await new Promise((resolve) => setImmediate(resolve));
		session.goaway(0, 1); // the last stream that it deals with is the first
		expect((await second.answer).failure).toMatchObject({ code: 7 });
		expect(connection.isUsable).toBe(false);
		streams[0]!.end("done");
		expect(await first.answer).toMatchObject({ failure: null, body: Buffer.from("begun done") });
	});

	it("ends all streams when the connection breaks, or the client closes it", async () => {
		const silent = (stream: ServerHttp2Stream) => stream.respond({ ":status": 200 });
		const { connection, socket } = await serve(silent);
		const { answer } = collect(connection);
		socket.destroy();
		expect((await answer).failure).toMatchObject({ code: null });
		const other = (await serve(silent)).connection;
		const ended = collect(other).answer;
		other.close();
		expect((await ended).failure).toEqual({ code: null, message: "the client is closed" });
	});
});

const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
