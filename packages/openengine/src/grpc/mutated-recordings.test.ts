// SPDX-License-Identifier: Apache-2.0

import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";
import { DynError } from "@dyn/common";
import fc from "fast-check";
import { afterEach, expect, it } from "vitest";
import { served } from "../__fixtures__/served-toy.js";
import { createOpenEngineClient, type OpenEngineClient } from "../client/openengine-client.js";

const closers: (() => unknown)[] = [];
afterEach(async () => {
	for (const close of closers.splice(0)) await close();
});

async function listen(onConnection: (socket: Socket) => void): Promise<string> {
	const server = createServer(onConnection).listen(0, "127.0.0.1");
	closers.push(() => server.close());
	await once(server, "listening");
	return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function ask(
	endpoint: string,
	...[request, options]: Parameters<OpenEngineClient["generate"]>
): Promise<number> {
	const client = await createOpenEngineClient({ endpoint, connections: 1 });
	try {
		let responses = 0;
		for await (const _ of client.generate(request, options)) responses++;
		return responses;
	} finally {
		client.close();
	}
}

const REQUEST = { requestId: "r", model: "toy", tokenIds: { ids: [5, 6, 7] }, stopping: { maxTokens: 20 } };

/** What a real server (grpc-js over nghttp2) says to one call of a new connection, up to its end. */
async function record(): Promise<Buffer> {
	const { server } = await served();
	const said: Buffer[] = [];
	const proxy = await listen((socket) => {
		const upstream = connect(server.port, "127.0.0.1");
		upstream.on("data", (chunk) => said.push(chunk));
		upstream.on("error", () => {});
		socket.on("error", () => {});
		socket.pipe(upstream).pipe(socket);
	});
	expect(await ask(proxy, REQUEST)).toBe(21);
	return Buffer.concat(said);
}

interface Mutation {
	readonly at: number;
	readonly kind: "cut" | "flip" | "drop" | "repeat" | "insert";
	readonly size: number;
	readonly byte: number;
}

function mutate(wire: Buffer, { at: share, kind, size, byte }: Mutation): Buffer {
	const at = Math.floor(share * wire.length);
	const [before, after] = [wire.subarray(0, at), wire.subarray(at)];
	switch (kind) {
		case "cut":
			return before;
		case "flip": {
			const changed = Buffer.from(wire);
			if (at < wire.length) changed[at] = byte;
			return changed;
		}
		case "drop":
			return Buffer.concat([before, after.subarray(size)]);
		case "repeat":
			return Buffer.concat([before, after.subarray(0, size), after]);
		case "insert":
			return Buffer.concat([before, Buffer.alloc(size, byte), after]);
	}
}

const mutation: fc.Arbitrary<Mutation> = fc.record({
	at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
	kind: fc.constantFrom("cut", "flip", "drop", "repeat", "insert"),
	size: fc.integer({ min: 1, max: 40 }),
	byte: fc.nat(255),
});

it("of a server, cut and changed, end a call with an answer or an error that says what happened", async () => {
	const wire = await record();
	let answer = wire;
	let pieceBytes = 1;
	const endpoint = await listen((socket) => {
		socket.on("error", () => {});
		// The first bytes are settings; the client's request is among what it says then.
		let heard = 0;
		socket.on("data", (chunk) => {
			heard += chunk.length;
			if (heard < 200 || socket.writableEnded) return;
			for (let at = 0; at < answer.length; at += pieceBytes)
				socket.write(answer.subarray(at, at + pieceBytes));
			socket.end();
		});
		socket.write(wire.subarray(0, 9 + wire.readUIntBE(0, 3)));
	});
	let failures = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.array(mutation, { minLength: 1, maxLength: 3 }),
			fc.integer({ min: 20, max: 2000 }),
			async (mutations, bytes) => {
				answer = mutations.reduce(mutate, wire);
				pieceBytes = bytes;
				try {
					await ask(endpoint, REQUEST, { timeoutMs: 2000 });
				} catch (error) {
					failures++;
					expect(DynError.is(error)).toBe(true);
					// Nothing is waited for: the connection is over, and that is noticed.
					expect(DynError.is(error, "DEADLINE_EXCEEDED")).toBe(false);
				}
			},
		),
		{ numRuns: 400, seed: 11 },
	);
	expect(failures).toBeGreaterThan(200);
});
