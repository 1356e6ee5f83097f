// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import { describe, expect, it } from "vitest";
import { all, request, served } from "../__fixtures__/served-toy.js";
import type { OpenEngineClient } from "../client/openengine-client.js";
import * as m from "../generated/messages.js";
import { createOpenEngineServer } from "./openengine-server.js";
import type { OpenEngineService } from "./service.js";

describe("abort", () => {
	it("by the session that a request was given", async () => {
		const { client } = await served();
		const stream = client.generate(
			request({ kv: { session: { sessionId: "s1" } }, stopping: { maxTokens: 500 } }),
		);
		await stream.next();
		await expect(client.abort({ kvSession: { sessionId: "s2" } })).rejects.toMatchObject({
			code: "NOT_FOUND",
		});
		expect(await client.abort({ kvSession: { sessionId: "s1" } })).toMatchObject({
			status: m.AbortStatus.ABORTED,
		});
		let last: m.GenerateResponse | undefined;
		for await (const response of stream) last = response;
		expect(last!.finished!.reason).toBe(m.FinishReason.CANCELLED);
		expect(await client.abort({ requestId: "r" })).toMatchObject({ status: m.AbortStatus.ALREADY_FINISHED });
	});

	it("comes after a cancelled stream, for engines that need to be told", async () => {
		let told: (id: string | undefined) => void = () => {};
		const aborted = new Promise((resolve) => {
			told = resolve;
		});
		const { engine } = await served({}, () => ({
			async abort({ requestId }) {
				told(requestId);
				return { status: m.AbortStatus.ALREADY_FINISHED };
			},
		}));
		const context = createRequestContext();
		for await (const _ of (await engine()).generate(
			createGenerateRequest({ tokenIds: [5], stop: { maxTokens: 500 } }),
			context,
		))
			break;
		expect(await aborted).toBe(context.id);
	});
});

describe("KV events", () => {
	const batches = async (client: OpenEngineClient, count: number, init = {}) => {
		const found: m.KvEventBatch[] = [];
		for await (const { batch } of client.subscribeKvEvents(init)) {
			found.push(batch!);
			if (found.length === count) break;
		}
		return found;
	};

	it("replays from a number, and tells what is stored", async () => {
		const { client, toy } = await served();
		const ids = Array.from({ length: 96 }, () => 5);
		await all(client, { tokenIds: { ids }, stopping: { maxTokens: 1 } });
		expect(
			(await batches(client, 2, { startSequenceNumber: 2n })).map(({ sequenceNumber }) => sequenceNumber),
		).toEqual([2n, 3n]);
		const snapshot = await batches(client, 3, { includeSnapshot: true });
		expect(snapshot.map(({ events }) => events[0]!.blockStored!.blockHashes.length)).toEqual([1, 1, 1]);
		expect(snapshot[1]!.events[0]!.blockStored!.parentBlockHash).toEqual(
			snapshot[0]!.events[0]!.blockStored!.blockHashes[0],
		);
		toy.clearCache();
		expect((await batches(client, 1, { startSequenceNumber: 4n }))[0]!.events[0]!.allBlocksCleared).toEqual(
			{},
		);
		await expect(batches(client, 1, { startSequenceNumber: 9n })).rejects.toMatchObject({
			details: { grpcStatus: 11 },
		});
		await expect(batches(client, 1, { dataParallelRanks: [1] })).rejects.toMatchObject({
			code: "INVALID_ARGUMENT",
		});
	});

	it("begin anew after a gap: cleared, and then what is stored", async () => {
		let subscriptions = 0;
		const stored = (value: number) => ({
			blockStored: {
				blockHashes: [{ value: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, value), encoding: "int64" }],
				blockSize: 2,
				tokenIds: [1, 2],
			},
		});
		const { engine } = await served({}, () => ({
			async *subscribeKvEvents() {
				subscriptions++;
				yield { batch: { sequenceNumber: 1n, events: [stored(1)] } };
				if (subscriptions === 1) yield { batch: { sequenceNumber: 3n, events: [stored(3)] } };
			},
		}));
		const events = [];
		for await (const { eventId, data } of (await engine()).kvEvents()) events.push([eventId, data.type]);
		expect(events).toEqual([
			[0, "stored"],
			[1, "cleared"],
			[2, "stored"],
		]);
	});
});

describe("a server", () => {
	it("drains: ends subscriptions, lets requests finish, takes no others", async () => {
		const { server, client } = await served();
		const subscription = client.subscribeKvEvents();
		const next = subscription.next();
		const running = client.generate(request({ stopping: { maxTokens: 50 } }));
		await running.next();
		const drained = server.drain();
		expect((await next).done).toBe(true);
		let count = 1;
		for await (const _ of running) count++;
		expect(count).toBe(51);
		await drained;
		await server.closed;
		await expect(client.getServerInfo({}, { timeoutMs: 2000 })).rejects.toMatchObject({
			code: "UNAVAILABLE",
		});
	});

	it("says why it cannot listen", async () => {
		const { server } = await served();
		const second = createOpenEngineServer({ service: {} as OpenEngineService, port: server.port });
		await expect(second).rejects.toMatchObject({
			code: "UNAVAILABLE",
			message: expect.stringContaining(`${server.port}`),
		});
	});

	it("takes large messages, and refuses larger ones as such", async () => {
		const { client } = await served();
		const jsonSchema = "x".repeat(8 * 2 ** 20);
		await expect(all(client, { guided: { jsonSchema } })).rejects.toMatchObject({ code: "UNIMPLEMENTED" });
		await expect(all(client, { guided: { jsonSchema: "x".repeat(65 * 2 ** 20) } })).rejects.toMatchObject({
			code: "PAYLOAD_TOO_LARGE",
		});
	});
});
