// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest } from "@dyn/protocols";
import { decodeMsgpack } from "@dyn/protocols/msgpack";
import { loadZmq } from "@dyn/runtime/zmq";
import { trtllmBlockKey } from "@dyn/tokens";
import { afterEach, expect, it } from "vitest";
import { createMockerEngine, type MockerEngine } from "../engine/mocker-engine.js";
import type { MockerEngineOptions } from "../engine/mocker-options.js";
import { createKvEventPublisherDouble } from "./kv-event-publisher-double.js";
import type { RankPublisher } from "./rank-publisher.js";

const made: (() => unknown)[] = [];
afterEach(async () => {
	for (const close of made.splice(0).reverse()) await close();
});

async function published(options: MockerEngineOptions = {}) {
	const engine = createMockerEngine({ speedupRatio: 0, remembersTokens: true, ...options });
	made.push(() => engine.close());
	const { dpSize } = await engine.start();
	const double = await createKvEventPublisherDouble({ engine, dpSize });
	made.push(() => double.close());
	return { engine, ranks: double.ranks };
}

async function ask(engine: MockerEngine, first: number, dpRank: number | null = null): Promise<void> {
	const tokenIds = Array.from({ length: 70 }, (_, i) => first + i);
	const request = createGenerateRequest({ tokenIds, stop: { maxTokens: 1 }, routing: { dpRank } });
	for await (const _ of engine.generate(request, createRequestContext()));
}

let prompts = 0;
/** First token of a prompt that was not asked before. */
const fresh = (): number => 1000 + 100 * ++prompts;

type Message = readonly [sequence: bigint, batch: readonly [number, unknown[][], number]];

const toMessage = (sequence: Buffer, payload: Uint8Array): Message => [
	sequence.readBigInt64BE(),
	decodeMsgpack(payload) as Message[1],
];

/** What a subscriber of a rank gets; it listens when this resolves. */
async function subscribe(
	{ endpoint }: RankPublisher,
	send: () => Promise<unknown>,
): Promise<() => Promise<Message>> {
	const { Subscriber } = await loadZmq();
	const socket = new Subscriber({ linger: 0, receiveTimeout: 50 });
	made.push(() => socket.close());
	socket.connect(endpoint);
	socket.subscribe();
	// A subscription takes effect some time after it was made.
	for (;;) {
		await send();
		const frames = await socket.receive().catch(() => null);
		if (frames) break;
	}
	socket.receiveTimeout = 5000;
	return async () => {
		const [, sequence, payload] = await socket.receive();
		return toMessage(sequence!, payload!);
	};
}

async function replay({ replayEndpoint }: RankPublisher, from: bigint): Promise<bigint[]> {
	const { Dealer } = await loadZmq();
	const socket = new Dealer({ linger: 0, receiveTimeout: 5000 });
	made.push(() => socket.close());
	socket.connect(replayEndpoint);
	const start = Buffer.alloc(8);
	start.writeBigUInt64BE(from);
	await socket.send([Buffer.alloc(0), start]);
	const sequences: bigint[] = [];
	for (;;) {
		const [, sequence] = await socket.receive();
		if (sequence!.readBigInt64BE() === -1n) return sequences;
		sequences.push(sequence!.readBigInt64BE());
	}
}

it("publishes blocks by TensorRT-LLM's keys, with their tokens, rank by rank", async () => {
	const { engine, ranks } = await published({ dpSize: 2 });
	const next = await subscribe(ranks[1]!, () => ask(engine, fresh(), 1));
	await ask(engine, 1, 0);
	await ask(engine, 1, 1);
	const tokens = Array.from({ length: 64 }, (_, i) => 1 + i);
	const first = trtllmBlockKey(tokens.slice(0, 32), null);
	const keys = [first, trtllmBlockKey(tokens.slice(32), first)];
	const [, [, events, dpRank]] = await next();
	expect(dpRank).toBe(1);
	expect(events).toEqual([["BlockStored", keys, null, tokens, 32, null, "GPU"]]);
});

it("loses batches on demand, which can be asked for", async () => {
	const { engine, ranks } = await published();
	const [rank] = ranks;
	const next = await subscribe(rank!, () => ask(engine, fresh()));
	await ask(engine, 1);
	const [before] = await next();
	rank!.lose(2);
	for (const first of [101, 201, 301]) await ask(engine, first);
	const [after] = await next();
	expect(after).toBe(before + 3n);
	expect(await replay(rank!, before + 1n)).toEqual([before + 1n, before + 2n, after]);
	rank!.lose(1, { forgotten: true });
	for (const first of [401, 501]) await ask(engine, first);
	await next();
	expect(await replay(rank!, after + 1n)).toEqual([after + 2n]);
});

it("begins anew on demand", async () => {
	const { engine, ranks } = await published();
	const next = await subscribe(ranks[0]!, () => ask(engine, fresh()));
	ranks[0]!.reset();
	await ask(engine, 1);
	expect((await next())[0]).toBe(0n);
});

it("says what was evicted", async () => {
	const { engine, ranks } = await published({ numGpuBlocks: 4 });
	const next = await subscribe(ranks[0]!, () => ask(engine, fresh()));
	await ask(engine, 1);
	const types: unknown[] = [];
	while (types.length < 2) types.push(...(await next())[1][1].map(([type]) => type));
	expect(types).toContain("BlockRemoved");
});
