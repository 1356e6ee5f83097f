// SPDX-License-Identifier: Apache-2.0
import { noMetrics, silentLogger } from "@dyn/common";
import { createBlockHasher, trtllmBlockKey, trtllmSaltId } from "@dyn/tokens";
import { expect, it, vi } from "vitest";
import type { EngineEvent, EngineEventData } from "./engine-event.js";
import { EventTranslator } from "./event-translator.js";
import { KvEventMetrics } from "./kv-event-metrics.js";

function translator() {
	const metrics = new KvEventMetrics(noMetrics);
	const filtered = vi.spyOn(metrics, "filtered");
	const mismatched = vi.spyOn(metrics, "mismatched");
	const warn = vi.fn();
	const made = new EventTranslator({ kvBlockSize: 4, metrics, logger: { ...silentLogger, warn } });
	const translate = (data: EngineEventData, more: Partial<EngineEvent> = {}) =>
		made.translate({
			windowSize: null,
			group: null,
			attentionKind: null,
			hashAlgorithm: null,
			isOnDevice: true,
			...more,
			data,
		});
	return { translate, filtered, mismatched, warn };
}

const stored = (
	blocks: readonly (readonly [hash: bigint | null, tokens: readonly number[] | null])[],
	more: { parentHash?: bigint; loraName?: string; cacheSalt?: string } = {},
): EngineEventData => ({
	type: "stored",
	parentHash: null,
	loraName: null,
	cacheSalt: null,
	...more,
	blocks: blocks.map(([hash, tokens]) => ({ hash, tokens })),
});
const removed = (...hashes: bigint[]): EngineEventData => ({ type: "removed", hashes });
const FULL = [1, 2, 3, 4];

it("hashes tokens as routers do, by LoRA and salt", async () => {
	const { translate } = translator();
	const scopes = [{}, { cacheSalt: "a" }, { loraName: "poet" }, { loraName: "poet", cacheSalt: "a" }];
	const hashes = new Set<bigint>();
	for (const scope of scopes) {
		const tokensHash = (await createBlockHasher(scope)).blockHash(Uint32Array.from(FULL));
		hashes.add(tokensHash);
		expect(await translate(stored([[9n, FULL]], { ...scope, parentHash: 5n }))).toEqual({
			type: "stored",
			parentHash: 5n,
			blocks: [{ blockHash: 9n, tokensHash }],
		});
	}
	expect(hashes.size).toBe(4);
});

it("tells of no block that is not full, nor of its end", async () => {
	const { translate } = translator();
	expect(
		await translate(
			stored([
				[1n, FULL],
				[2n, [1, 2]],
			]),
		),
	).toMatchObject({ blocks: [{ blockHash: 1n }] });
	expect(await translate(stored([[3n, [1]]]))).toBeNull();
	expect(await translate(removed(2n, 1n, 3n))).toEqual({ type: "removed", blockHashes: [1n] });
	// Each is swallowed once: later it is another block's name.
	expect(await translate(removed(2n))).toEqual({ type: "removed", blockHashes: [2n] });
	// One that was filled later is a block like others.
	await translate(stored([[4n, [1]]]));
	await translate(stored([[4n, FULL]]));
	expect(await translate(removed(4n))).toEqual({ type: "removed", blockHashes: [4n] });
});

it("skips blocks without a name, and drops an event whose blocks are too large or end in media", async () => {
	const { translate, filtered } = translator();
	expect(
		await translate(
			stored([
				[null, FULL],
				[1n, FULL],
			]),
		),
	).toMatchObject({ blocks: [{ blockHash: 1n }] });
	expect(
		await translate(
			stored([
				[1n, FULL],
				[2n, [...FULL, 5]],
			]),
		),
	).toBeNull();
	expect(
		await translate(
			stored([
				[5n, null],
				[6n, FULL],
			]),
		),
	).toBeNull();
	expect(await translate(removed(5n, 6n))).toBeNull();
	expect(filtered.mock.calls.flat()).toEqual(["oversize_block", "media"]);
});

it("listens to the largest window only, once it knows the windows", async () => {
	const { translate } = translator();
	await translate({ type: "created" }, { windowSize: 128 });
	await translate({ type: "created" }, { windowSize: 4096 });
	expect(await translate(stored([[1n, FULL]]), { windowSize: 128 })).toBeNull();
	expect(await translate(stored([[1n, FULL]]), { windowSize: 4096 })).not.toBeNull();
	await translate({ type: "created" }, { windowSize: 9999 });
	expect(await translate(removed(1n), { windowSize: 128 })).toBeNull();
	expect(await translate(removed(1n), { windowSize: 4096 })).not.toBeNull();
	expect(await translate(stored([[2n, FULL]]))).not.toBeNull();
});

it("drops other attention, other storage and changes of tier", async () => {
	const { translate, filtered } = translator();
	const block = stored([[1n, FULL]]);
	expect(await translate(block, { group: 1, attentionKind: "sliding_window" })).toBeNull();
	expect(await translate(removed(1n), { group: 1 })).toBeNull();
	expect(await translate(block, { group: 0, attentionKind: "mla_attention" })).not.toBeNull();
	expect(await translate(block, { isOnDevice: false })).toBeNull();
	expect(await translate({ type: "updated" })).toBeNull();
	expect(filtered.mock.calls.flat()).toEqual([
		"non_main_attention_kind",
		"non_main_attention_kind",
		"not_on_device",
		"updated",
	]);
	expect(await translate({ type: "cleared" })).toEqual({ type: "cleared" });
});

it("checks hashes that can be checked, says once what is wrong, and publishes all the same", async () => {
	const { translate, mismatched, warn } = translator();
	const v1 = { hashAlgorithm: "v1_block_key" };
	const first = trtllmBlockKey(FULL, null, { saltId: trtllmSaltId("tenant") });
	const second = trtllmBlockKey(FULL, first);
	await translate(
		stored(
			[
				[first, FULL],
				[second, FULL],
			],
			{ cacheSalt: "tenant" },
		),
		v1,
	);
	await translate(stored([[5n, FULL]]), { hashAlgorithm: "v2_sha256_64" });
	await translate(stored([[5n, FULL]], { loraName: "poet" }), v1);
	expect(mismatched).not.toHaveBeenCalled();
	expect(
		await translate(
			stored([
				[5n, FULL],
				[6n, FULL],
			]),
			v1,
		),
	).toMatchObject({ blocks: [{}, {}] });
	expect(mismatched).toHaveBeenCalledTimes(2);
	expect(warn).toHaveBeenCalledTimes(1);
});
