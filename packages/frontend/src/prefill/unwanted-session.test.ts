// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import { createTcpKvTransfer, type KvTransferAgent } from "@dyn/kvbm/transfer";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Answer, aborted, delta, end, ServedModel, signalled } from "../__fixtures__/served-model.js";

let served: ServedModel;
let holder: KvTransferAgent;
/** Sessions that were offered so far. */
let offered: number;
beforeEach(async () => {
	offered = 0;
	holder = await createTcpKvTransfer();
	served = await ServedModel.create({ workerType: "decode", needs: [["prefill"]] });
	const prefill: Answer = async function* () {
		const sessionId = `s${offered++}`;
		const offer = { numBlocks: 1, blockBytes: 1, read: () => new Uint8Array(1), onEnd: () => {} };
		holder.offer(sessionId, offer, { deadlineMs: 60_000 });
		const kvSession = {
			sessionId,
			transferBackend: holder.backend,
			endpoints: holder.endpoints,
			dpRank: 0,
			attributes: {},
		};
		yield { ...end("length"), tokenIds: [72], kvSession };
	};
	await served.addInstance({ workerType: "prefill" }, prefill, "a.prefill.c");
	await served.start({ migration: { limit: 2 } });
});
afterEach(async () => {
	await served.close();
	await holder.close();
});

it("is given back when the client leaves before the decode worker took it", async () => {
	const began = signalled();
	served.answer = async function* (_request, { signal }) {
		began.reach();
		await aborted(signal);
		yield* [];
	};
	const connection = served.connect().post("/v1/completions", { model: "m", prompt: "x", stream: true });
	await began.reached;
	expect(holder.offered).toBe(1);
	connection.socket.destroy();
	await vi.waitFor(() => expect(holder.offered).toBe(0));
});

it("is given back when decode workers refuse, and left to them when they answer", async () => {
	served.answer = () => {
		throw new DynError("OVERLOADED", "full");
	};
	expect((await served.complete()).status).toBe(529);
	expect(offered).toBeGreaterThan(0);
	await vi.waitFor(() => expect(holder.offered).toBe(0));
	served.answer = async function* () {
		yield delta("H");
		yield end();
	};
	expect((await served.complete()).status).toBe(200);
	expect(holder.offered).toBe(1);
});
