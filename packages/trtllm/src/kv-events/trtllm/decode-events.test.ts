// SPDX-License-Identifier: Apache-2.0
import { parseJson } from "@dyn/protocols/json";
import { encodeMsgpack } from "@dyn/protocols/msgpack";
import { describe, expect, it } from "vitest";
import { decodePolledEvent } from "./decode-polled-event.js";
import { decodeStreamedBatch } from "./decode-streamed-batch.js";
import { engineHash } from "./engine-event.js";

const batch = (...events: unknown[]) => decodeStreamedBatch(encodeMsgpack([1.5, events, 0]));
const SALT = "dynamo-cache-salt:tenant-a";

it("takes hashes of either sign, in hex and in bytes, as the same u64", () => {
	expect(engineHash(-1)).toBe(2n ** 64n - 1n);
	expect(engineHash(-(2n ** 63n))).toBe(2n ** 63n);
	const digest = "0102030405060708".padEnd(64, "f");
	expect(engineHash(digest)).toBe(0x0102030405060708n);
	expect(engineHash(Buffer.from(digest, "hex"))).toBe(0x0102030405060708n);
	for (const none of [null, 1.5, "abc", "xyz".repeat(20), Buffer.alloc(3), {}])
		expect(engineHash(none)).toBeNull();
});

describe("streamed", () => {
	it("reads arrays with more and with fewer elements than are known, and maps", () => {
		const { events, invalid } = batch(
			[
				"BlockStored",
				[1, 2n ** 63n + 5n],
				null,
				[1, 2, 3, 4],
				2,
				null,
				"GPU",
				null,
				[[SALT], null],
				null,
				3,
				"full_attention",
				4096,
				"LOCAL",
				{},
			],
			["BlockStored", [-7], 1, [5, 6], 2],
			{
				type: "BlockStored",
				block_hashes: [9],
				parent_block_hash: 1,
				token_ids: [5, 6],
				block_size: 2,
				lora_name: "poet",
				cache_salt: "s",
				new: 1,
			},
			["BlockRemoved", [1], "CPU_PINNED", 3],
			["AllBlocksCleared"],
		);
		expect(invalid).toBe(0);
		expect(events[0]).toMatchObject({
			group: 3,
			windowSize: 4096,
			attentionKind: "full_attention",
			isOnDevice: true,
			data: {
				type: "stored",
				parentHash: null,
				cacheSalt: "tenant-a",
				blocks: [
					{ hash: 1n, tokens: [1, 2] },
					{ hash: 2n ** 63n + 5n, tokens: [3, 4] },
				],
			},
		});
		expect(events[1]!.data).toMatchObject({
			parentHash: 1n,
			blocks: [{ hash: 2n ** 64n - 7n, tokens: [5, 6] }],
		});
		expect(events[2]!.data).toMatchObject({ loraName: "poet", cacheSalt: "s" });
		expect(events[3]).toMatchObject({ isOnDevice: false, data: { type: "removed", hashes: [1n] } });
		expect(events[4]!.data).toEqual({ type: "cleared" });
	});

	it("knows blocks with media, and keeps what is not local apart", () => {
		const image = "a".repeat(64);
		const { events } = batch(
			["BlockStored", [1, 2], null, [1, 2], 1, null, "GPU", null, [[[image, 0]], null]],
			["BlockStored", [1], null, [1], 1, null, "GPU", null, null, null, 0, "full_attention", null, "REMOTE"],
		);
		expect(events[0]!.data).toMatchObject({ blocks: [{ tokens: null }, { tokens: [2] }] });
		expect(events[1]!.isOnDevice).toBe(false);
	});

	it("skips an event that is none, and refuses what is no batch", () => {
		const good = ["BlockRemoved", [1]];
		const { events, invalid } = batch(["Nonsense"], 7, ["BlockStored", "x"], ["BlockRemoved", ["zz"]], good);
		expect({ count: events.length, invalid }).toEqual({ count: 1, invalid: 4 });
		for (const bad of [
			encodeMsgpack(7),
			encodeMsgpack([1]),
			encodeMsgpack({ events: [] }),
			Buffer.from([0xc1]),
		])
			expect(() => decodeStreamedBatch(bad)).toThrow();
	});

	it("throws what can be caught for any bytes, and never hangs", () => {
		const good = Buffer.from(
			encodeMsgpack([
				1.5,
				[
					["BlockStored", [1], null, [1, 2], 2, null, "GPU", null, [[SALT]]],
					["BlockRemoved", [2n ** 63n]],
				],
				0,
			]),
		);
		let seed = 1;
		const random = (below: number) => {
			seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
			return seed % below;
		};
		let refused = 0;
		for (let i = 0; i < 20_000; i++) {
			const bytes = Buffer.from(good.subarray(0, random(4) === 0 ? random(good.length) : good.length));
			for (let n = random(6); n >= 0 && bytes.length > 0; n--) bytes[random(bytes.length)] = random(256);
			try {
				decodeStreamedBatch(bytes);
			} catch (error) {
				expect(error).toBeInstanceOf(Error);
				refused++;
			}
		}
		expect(refused).toBeGreaterThan(1000);
		expect(refused).toBeLessThan(20_000);
	});
});

describe("polled", () => {
	const event = (text: string) => decodePolledEvent(parseJson(text));
	const token = (id: number | string) =>
		`{"type":"unique_token","token_id":${JSON.stringify(id)},"token_extra_id":0}`;
	const block = (hash: string, more = "") =>
		`{"type":"stored_block","block_hash":${hash},"tokens":[${token(1)},${token(2)}],"cache_level":0,"priority":35${more}}`;

	it("reads stored blocks with every digit of their hashes", () => {
		expect(
			event(
				`{"event_id":4,"data":{"type":"stored","parent_hash":17461474797406555673,"blocks":[${block("949730894463544763")}]},"window_size":128,"attention_dp_rank":2}`,
			),
		).toEqual({
			eventId: 4,
			dpRank: 2,
			windowSize: 128,
			group: null,
			attentionKind: null,
			hashAlgorithm: "v1_block_key",
			isOnDevice: true,
			data: {
				type: "stored",
				parentHash: 17461474797406555673n,
				blocks: [{ hash: 949730894463544763n, tokens: [1, 2] }],
				loraName: null,
				cacheSalt: null,
			},
		});
	});

	it("reads the other kinds, salts and media", () => {
		expect(event('{"event_id":0,"data":{"type":"created","num_blocks_per_cache_level":[9,0]}}').data).toEqual(
			{ type: "created" },
		);
		expect(event('{"event_id":1,"data":{"type":"updated","block_hash":1,"cache_level":null}}').data).toEqual({
			type: "updated",
		});
		expect(event('{"event_id":2,"data":{"type":"removed","block_hashes":[1,null]}}').data).toEqual({
			type: "removed",
			hashes: [1n],
		});
		const media = `,"mm_keys":[{"type":"mm_key","hash":"${"ab".repeat(32)}","start_offset":0}],"cache_salt":"s"`;
		expect(
			event(`{"event_id":3,"data":{"type":"stored","parent_hash":null,"blocks":[${block("1", media)}]}}`)
				.data,
		).toMatchObject({
			cacheSalt: "s",
			blocks: [{ hash: 1n, tokens: null }],
		});
	});

	it.each([
		["no id", '{"data":{"type":"created"}}'],
		["an unknown kind", '{"event_id":1,"data":{"type":"eaten"}}'],
		["no data", '{"event_id":1}'],
		[
			"two salts",
			`{"event_id":1,"data":{"type":"stored","blocks":[${block("1", ',"cache_salt":"a"')},${block("2", ',"cache_salt":"b"')}]}}`,
		],
		["a list", "[]"],
	])("refuses %s", (_name, text) => {
		expect(() => event(text)).toThrow("INVALID_ARGUMENT");
	});
});
