// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ChaosProxy } from "./chaos-proxy.js";

let server: Server;
let proxy: ChaosProxy;
let client: Socket;
/** The server's end of the connection. */
let served: Socket;

beforeEach(async () => {
	server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
	await once(server, "listening");
	proxy = await ChaosProxy.start(`127.0.0.1:${(server.address() as { port: number }).port}`);
	const coming = accepted();
	client = await open();
	served = await coming;
});

afterEach(async () => {
	client.destroy();
	served.destroy();
	await proxy[Symbol.asyncDispose]();
	server.close();
});

async function open(): Promise<Socket> {
	const [host, port] = proxy.address.split(":");
	const socket = connect({ host: host!, port: Number(port), allowHalfOpen: true, noDelay: true });
	socket.on("error", () => {});
	await once(socket, "connect");
	return socket;
}

async function accepted(): Promise<Socket> {
	const [socket] = (await once(server, "connection")) as [Socket];
	socket.on("error", () => {});
	return socket;
}

/** Resolves, when the socket is closed, with whether it was by a reset. */
const closed = (socket: Socket): Promise<boolean> =>
	new Promise((resolve) => socket.once("close", (hadError) => resolve(hadError)));

/** Reads `bytes` bytes; resolves with them, and with the sizes in which they came. */
async function read(socket: Socket, bytes: number): Promise<{ text: string; pieces: number[]; ms: number }> {
	const began = performance.now();
	const pieces: Buffer[] = [];
	for (let length = 0; length < bytes; length += pieces.at(-1)!.length)
		pieces.push(((await once(socket, "data")) as [Buffer])[0]);
	return {
		text: Buffer.concat(pieces).toString(),
		pieces: pieces.map(({ length }) => length),
		ms: performance.now() - began,
	};
}

it("passes bytes and ends in both directions", async () => {
	client.end("there");
	const end = once(served, "end");
	expect((await read(served, 5)).text).toBe("there");
	await end;
	served.end("back");
	expect((await read(client, 4)).text).toBe("back");
	await once(client, "end");
});

it("delays with jitter and keeps the order", async () => {
	Object.assign(proxy.up, { latencyMs: 50, jitterMs: 20 });
	const sent = Array.from({ length: 50 }, (_, index) => `${index},`);
	for (const each of sent) client.write(each);
	const { text, ms } = await read(served, sent.join("").length);
	expect(text).toBe(sent.join(""));
	expect(ms).toBeGreaterThanOrEqual(49);
});

it("limits the bandwidth", async () => {
	Object.assign(proxy.down, { bytesPerSecond: 100_000, sliceBytes: 1000 });
	served.write("x".repeat(20_000));
	expect((await read(client, 20_000)).ms).toBeGreaterThan(180);
});

it("cuts writes into slices, one after the other", async () => {
	Object.assign(proxy.down, { sliceBytes: 3, bytesPerSecond: 50 });
	served.write("abcdefgh");
	const { text, pieces } = await read(client, 8);
	expect(text).toBe("abcdefgh");
	expect(pieces[0]).toBe(3);
});

it("loses one direction alone", async () => {
	proxy.down.dropped = true;
	client.write("heard");
	expect((await read(served, 5)).text).toBe("heard");
	served.write("lost");
	client.write("again");
	expect((await read(served, 5)).text).toBe("again");
	proxy.heal();
	served.write("found");
	expect((await read(client, 5)).text).toBe("found");
});

it("hides that the server ended (half-open)", async () => {
	proxy.down.endHidden = true;
	let ended = false;
	client.on("end", () => {
		ended = true;
	});
	served.end("last words");
	expect((await read(client, 10)).text).toBe("last words");
	client.write("still there?");
	await read(served, 12);
	expect(ended).toBe(false);
});

it("is a black hole for old and new connections until it heals, and resets them then", async () => {
	proxy.blackhole();
	const fresh = await open();
	const gone = [closed(client), closed(fresh)];
	let heard = "";
	for (const socket of [client, fresh, served])
		socket.on("data", (chunk) => {
			heard += chunk;
		});
	client.write("anybody?");
	fresh.write("anybody?");
	served.write("anybody?");
	await new Promise((resolve) => setTimeout(resolve, 50)); // for what must not come there is no event
	proxy.heal();
	expect(await Promise.all(gone)).toEqual([true, true]);
	expect(heard).toBe("");
	const next = accepted();
	const after = await open();
	after.write("hello");
	expect((await read(await next, 5)).text).toBe("hello");
	after.destroy();
});

it("resets connections on both sides", async () => {
	const both = Promise.all([closed(client), closed(served)]);
	proxy.reset();
	expect(await both).toEqual([true, true]);
	expect(proxy.connections).toBe(0);
});
