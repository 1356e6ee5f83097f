// SPDX-License-Identifier: Apache-2.0
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect, it, onTestFinished, vi } from "vitest";
import { ByteQueue } from "../byte-queue.js";
import { FrameKind, MuxLink } from "./mux-link.js";

/** A link to a peer of the test's own. */
async function linked() {
	const server = createServer().listen(0, "127.0.0.1");
	await once(server, "listening");
	const accepted = once(server, "connection") as Promise<[Socket]>;
	const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
	const [peer] = await accepted;
	onTestFinished(() => {
		socket.destroy();
		peer.destroy();
		server.close();
	});
	const received: [kind: number, stream: number][] = [];
	new MuxLink(peer, new ByteQueue(), {
		onFrame: (kind, stream) => received.push([kind, stream]),
		onClose: () => {},
	});
	const link = new MuxLink(socket, new ByteQueue(), { onFrame: () => {}, onClose: () => {} });
	return { link, received, writes: vi.spyOn(socket, "write") };
}

it("sends the cancellations of one turn together, a few dozen at a time", async () => {
	const { link, received, writes } = await linked();
	const cancelled = Array.from({ length: 200 }, (_, stream) => [FrameKind.CANCEL, stream]);
	await new Promise(setImmediate);
	for (const [, stream] of cancelled) {
		link.send(FrameKind.CANCEL, stream!);
		await new Promise<void>((resolve) => process.nextTick(resolve)); // the next event of this turn
	}
	await vi.waitFor(() => expect(received).toEqual(cancelled));
	expect(writes).toHaveBeenCalledTimes(4);
});

it("lets a request take along the cancellations before it", async () => {
	const { link, received, writes } = await linked();
	link.send(FrameKind.CANCEL, 1);
	link.send(FrameKind.REQUEST, 2);
	await vi.waitFor(() => expect(received).toHaveLength(2));
	expect(received).toEqual([
		[FrameKind.CANCEL, 1],
		[FrameKind.REQUEST, 2],
	]);
	expect(writes).toHaveBeenCalledTimes(1);
});
