// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { KvSession } from "@dyn/protocols";
import { afterEach, expect, it, vi } from "vitest";
import { createTcpKvTransfer, type KvOffer, type KvTransferAgent, releaseKvSession } from "./index.js";

const agents: KvTransferAgent[] = [];
afterEach(async () => {
	vi.useRealTimers();
	await Promise.all(agents.splice(0).map((agent) => agent.close()));
});
async function agent(options: Parameters<typeof createTcpKvTransfer>[0] = {}): Promise<KvTransferAgent> {
	const made = await createTcpKvTransfer(options);
	agents.push(made);
	return made;
}

const BYTES = 100_000;
/** Block `i` is full of `i + 1`. */
function offerOf(numBlocks: number): KvOffer & { ended: number } {
	return {
		numBlocks,
		blockBytes: BYTES,
		read: (index) => new Uint8Array(BYTES).fill(index + 1),
		onEnd() {
			this.ended++;
		},
		ended: 0,
	};
}
const sessionOf = (holder: Pick<KvTransferAgent, "backend" | "endpoints">, sessionId = "s"): KvSession => ({
	sessionId,
	transferBackend: holder.backend,
	endpoints: holder.endpoints,
	dpRank: 0,
	attributes: {},
});
const patiently = { deadlineMs: 60_000 };
const live = new AbortController().signal;

async function take(
	agent: KvTransferAgent,
	session: KvSession,
	{ firstBlock = 0, signal = live, blockBytes = BYTES, most = 1000 } = {},
): Promise<number[]> {
	const fills: number[] = [];
	for await (const block of agent.pull(session, { firstBlock, blockBytes, signal })) {
		expect(block).toHaveLength(blockBytes);
		expect(block.every((each) => each === block[0])).toBe(true);
		fills.push(block[0]!);
		if (fills.length === most) break;
	}
	return fills;
}

it("brings every block, in order, from the one asked for, and lets the holder's go", async () => {
	const [holder, other] = [await agent(), await agent()];
	const offer = offerOf(60);
	holder.offer("s", offer, patiently);
	expect(await take(other, sessionOf(holder), { firstBlock: 2 })).toEqual(
		Array.from({ length: 58 }, (_, i) => i + 3),
	);
	await vi.waitFor(() => expect(offer.ended).toBe(1));
	expect(holder.offered).toBe(0);
	await expect(take(other, sessionOf(holder))).rejects.toMatchObject({ code: "NOT_FOUND" });
});

it("keeps an offer whose taker left early, for another try", async () => {
	const [holder, other] = [await agent(), await agent()];
	const offer = offerOf(50);
	holder.offer("s", offer, patiently);
	expect(await take(other, sessionOf(holder), { most: 3 })).toEqual([1, 2, 3]);
	const stop = new AbortController();
	const aborted = take(other, sessionOf(holder), { signal: stop.signal });
	stop.abort(new Error("enough"));
	await expect(aborted).rejects.toThrow("enough");
	expect(offer.ended).toBe(0);
	expect(await take(other, sessionOf(holder), { firstBlock: 49 })).toEqual([50]);
	await vi.waitFor(() => expect(offer.ended).toBe(1));
});

it("ends an offer once: at its deadline, when withdrawn, when closed", async () => {
	const holder = await agent();
	const offers = [offerOf(1), offerOf(1), offerOf(1)] as const;
	vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
	holder.offer("late", offers[0], { deadlineMs: 1000 });
	holder.offer("withdrawn", offers[1], { deadlineMs: 1000 });
	holder.withdraw("withdrawn");
	vi.advanceTimersByTime(1001);
	expect(offers.map(({ ended }) => ended)).toEqual([1, 1, 0]);
	holder.offer("closed", offers[2], { deadlineMs: 1000 });
	expect(() => holder.offer("closed", offerOf(1), patiently)).toThrow("is offered already");
	vi.useRealTimers();
	await holder.close();
	await holder.close();
	expect(offers.map(({ ended }) => ended)).toEqual([1, 1, 1]);
	expect(() => holder.offer("x", offerOf(1), patiently)).toThrow("KV transfer is closed");
});

it("says what is wrong: other block size, no common endpoint, nobody there, a holder that vanishes", async () => {
	const [holder, other] = [await agent(), await agent()];
	holder.offer("s", offerOf(3), patiently);
	await expect(take(other, sessionOf(holder), { blockBytes: 7 })).rejects.toThrow(
		`${BYTES} bytes there and 7 here`,
	);
	const strange = { ...sessionOf(holder), endpoints: [{ host: "h", port: 1, protocol: "ucx" }] };
	await expect(take(other, strange)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
	const mute = createServer((socket) => socket.destroy()).listen(0, "127.0.0.1");
	await once(mute, "listening");
	const { port } = mute.address() as { port: number };
	const gone = { ...sessionOf(holder), endpoints: [{ host: "127.0.0.1", port, protocol: "dyn-kv/1" }] };
	await expect(take(other, gone)).rejects.toMatchObject({ code: "DISCONNECTED" });
	mute.close();
	await once(mute, "close");
	await expect(take(other, gone)).rejects.toMatchObject({ code: "DISCONNECTED" });
});

it("gives up on a holder that freezes", async () => {
	const sockets: Socket[] = [];
	const frozen = createServer((socket) => sockets.push(socket)).listen(0, "127.0.0.1");
	await once(frozen, "listening");
	const { port } = frozen.address() as { port: number };
	const other = await agent({ idleMs: 50 });
	const session = { ...sessionOf(other), endpoints: [{ host: "127.0.0.1", port, protocol: "dyn-kv/1" }] };
	await expect(take(other, session)).rejects.toThrow("nothing was heard for 50 ms");
	for (const socket of sockets) socket.destroy();
	frozen.close();
});

it.each([
	["garbage", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
	["an endless id", Buffer.from([0x44, 0x4b, 0x56, 0x31, 0, 0, 0, 0, 0xff, 0xff])],
	["half an ask", Buffer.from([0x44, 0x4b])],
])("survives %s, and serves the next one", async (_, bytes) => {
	const [holder, other] = [await agent({ idleMs: 200 }), await agent()];
	holder.offer("s", offerOf(2), patiently);
	const { port } = holder.endpoints[0]!;
	const socket = connect(port, "127.0.0.1");
	socket.on("error", () => {});
	socket.write(bytes);
	await once(socket, "close");
	expect(await take(other, sessionOf(holder))).toEqual([1, 2]);
});

it("lets blocks go that nobody will collect, as soon as it is told", async () => {
	const holder = await agent();
	const [unwanted, wanted] = [offerOf(3), offerOf(2)];
	holder.offer("unwanted", unwanted, patiently);
	holder.offer("wanted", wanted, patiently);
	await releaseKvSession(sessionOf(holder, "unwanted"));
	await vi.waitFor(() => expect(holder.offered).toBe(1));
	expect([unwanted.ended, wanted.ended]).toEqual([1, 0]);
	await releaseKvSession(sessionOf(holder, "unwanted"));
	await releaseKvSession({ ...sessionOf(holder, "wanted"), transferBackend: "NIXL" });
	expect(await take(await agent(), sessionOf(holder, "wanted"))).toEqual([1, 2]);
	await holder.close();
	await releaseKvSession(sessionOf(holder, "wanted")); // nobody listens any more
});
