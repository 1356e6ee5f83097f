// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { EndpointHandler, Instance, PayloadCodec } from "../../../types.js";
import type { RequestPlane } from "../../request-plane.js";
import { createTcpPlane } from "../tcp-plane.js";
import { type FrameKind, MuxLink } from "./mux-link.js";

const planes: RequestPlane[] = [];
afterEach(() => Promise.all(planes.splice(0).map((plane) => plane.close())));

/** Calls `handler` over a multiplexed connection. */
async function reach(codec: PayloadCodec, handler: EndpointHandler) {
	const [worker, caller] = [createTcpPlane(), createTcpPlane()];
	planes.push(worker, caller);
	const target = { id: 1n, path: { namespace: "n", component: "c", endpoint: "e" }, codec, handler };
	const instance: Instance = { ...target, ...(await worker.register(target)), deviceType: null };
	return (request: unknown, signal = new AbortController().signal) =>
		caller.call(instance, request, createRequestContext({ signal }), codec);
}

async function all(items: AsyncIterable<unknown>): Promise<unknown[]> {
	const collected: unknown[] = [];
	for await (const item of items) collected.push(item);
	return collected;
}

const identity = (value: unknown) => value;
const plain: PayloadCodec = {
	encodeRequest: identity,
	decodeRequest: identity,
	encodeItem: identity,
	decodeItem: identity,
};
const echo: EndpointHandler = async function* (request) {
	yield request;
};

describe("a multiplexed call", () => {
	const request = { a: null, b: { c: null, d: 1 }, e: [null] };

	it("keeps null for whom it is a value", async () => {
		expect(await all((await reach(plain, echo))(request))).toEqual([request]);
	});

	it("leaves null out for a codec that does not need it", async () => {
		const call = await reach({ ...plain, nullMayBeAbsent: true }, async function* (received) {
			yield { received: [received], f: null };
		});
		expect(await all(call(request))).toEqual([{ received: [{ b: { d: 1 }, e: [null] }] }]);
	});

	it("takes no notice of frames of kinds that a later version may send", async () => {
		const send = MuxLink.prototype.send;
		const sending = vi.spyOn(MuxLink.prototype, "send").mockImplementation(function (
			this: MuxLink,
			kind,
			id,
			payload,
		) {
			send.call(this, 200 as FrameKind, id, Buffer.from("?"));
			send.call(this, kind, id, payload);
			send.call(this, 99 as FrameKind, 0);
		});
		try {
			expect(await all((await reach(plain, echo))(request))).toEqual([request]);
		} finally {
			sending.mockRestore();
		}
	});

	it("ends with what its decoder throws, and the handler with it", async () => {
		let stopped!: () => void;
		const ended = new Promise<void>((resolve) => {
			stopped = resolve;
		});
		class Refusing {
			readonly what = "refused";
			encodeRequest = identity;
			decodeRequest = identity;
			encodeItem = identity;
			decodeItem(data: unknown): unknown {
				if (data === 2) throw new DynError("INVALID_ARGUMENT", this.what);
				return data;
			}
		}
		const call = await reach(new Refusing(), async function* (_request, { signal }) {
			yield 1;
			yield 2;
			await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
			stopped();
		});
		const items: unknown[] = [];
		await expect(async () => {
			for await (const item of call(null)) items.push(item);
		}).rejects.toThrow("refused");
		expect(items).toEqual([1]);
		await ended;
	});
});
