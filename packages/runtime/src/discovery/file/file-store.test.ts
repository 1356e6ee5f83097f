// SPDX-License-Identifier: Apache-2.0
import {
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLogger, type LogRecord } from "@dyn/common";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { KeyValueStore, StoreEvent } from "../key-value-store.js";
import { decodeFileName, encodeFileName, splitKey } from "./file-name.js";
import { createFileStore, type FileStoreOptions } from "./file-store.js";

let directory: string;
let stores: KeyValueStore[];
const stop = () => new AbortController();
const open = (options: FileStoreOptions = {}): KeyValueStore => {
	const store = createFileStore({ directory, ttlMs: 1000, ...options });
	stores.push(store);
	return store;
};
const KEY = "v1/instances/dynamo/backend/generate/1a2b";
const fileOf = (key: string) => join(directory, ...splitKey(key));

/** Follows a prefix; `until` resolves when what is present equals `expected`. */
function follow(store: KeyValueStore, prefix: string) {
	const present = new Map<string, string>();
	const events: StoreEvent[] = [];
	let wake = () => {};
	const cancel = stop();
	void (async () => {
		for await (const event of store.watch(prefix, cancel.signal)) {
			events.push(event);
			if (event.type === "put") present.set(event.key, event.value);
			if (event.type === "delete") present.delete(event.key);
			wake();
		}
	})();
	const until = async (expected: Record<string, string>) => {
		const wanted = JSON.stringify(Object.entries(expected).sort());
		const isSynced = () => events.some(({ type }) => type === "synced");
		while (!isSynced() || JSON.stringify([...present].sort()) !== wanted)
			await new Promise<void>((resolve) => {
				wake = resolve;
			});
	};
	return { until, events, cancel };
}

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "dyn-file-store-"));
	stores = [];
});
afterEach(async () => {
	vi.useRealTimers();
	await Promise.all(stores.map((store) => store.close()));
	rmSync(directory, { recursive: true, force: true });
});

it("names files as Dynamo does", () => {
	expect(splitKey("v1/mdc/dynamo/back-end/worker_kv.q/99e161056ef7d019")).toEqual([
		"v1/mdc",
		"dynamo%2Fback%2Dend%2Fworker%5Fkv%2Eq%2F99e161056ef7d019",
	]);
	expect(decodeFileName(encodeFileName("ä/ 1"))).toBe("ä/ 1");
	expect([".tmp_00ff", "%zz", "a b", "%ff"].map(decodeFileName)).toEqual([null, null, null, null]);
});

it("shows what others put, change and delete, in whole texts only", async () => {
	const [worker, frontend] = [open(), open()];
	const seen = follow(frontend, "v1/instances/dynamo/");
	await seen.until({});
	const lease = await worker.lease();
	await worker.put(KEY, '{"a":1}', lease);
	await seen.until({ [KEY]: '{"a":1}' });
	expect(readFileSync(fileOf(KEY), "utf8")).toBe('{"a":1}');
	await worker.put(KEY, '{"a":2}', lease);
	await seen.until({ [KEY]: '{"a":2}' });
	await worker.put("v1/instances/other/x/y/1", "{}", lease); // another prefix
	await worker.delete(KEY);
	await seen.until({});
	expect(seen.events.filter(({ type }) => type !== "synced").map(({ type }) => type)).toEqual([
		"put",
		"put",
		"delete",
	]);
	expect(readdirSync(join(directory, ".staging"))).toEqual([]);
});

it("tells a watcher that comes later what is there, then that this was all", async () => {
	const worker = open();
	const lease = await worker.lease();
	await worker.put(KEY, "{}", lease);
	await worker.put("v1/mdc/x", "{}", lease);
	const seen = follow(open(), "v1/instances/");
	await seen.until({ [KEY]: "{}" });
	expect(seen.events).toEqual([{ type: "put", key: KEY, value: "{}" }, { type: "synced" }]);
});

it("never shows a torn text: the last good one stays", async () => {
	const seen = follow(open(), "v1/instances/");
	await seen.until({});
	writeFileSync(fileOf(KEY), '{"a":{}');
	writeFileSync(join(directory, "v1/instances/.tmp_0011223344556677"), "{}");
	writeFileSync(fileOf("v1/instances/b"), '{"b":1}');
	await seen.until({ "v1/instances/b": '{"b":1}' });
	writeFileSync(fileOf(KEY), '{"a":1}');
	await seen.until({ [KEY]: '{"a":1}', "v1/instances/b": '{"b":1}' });
	writeFileSync(fileOf(KEY), "");
	writeFileSync(fileOf("v1/instances/b"), '{"b":2}');
	await seen.until({ [KEY]: '{"a":1}', "v1/instances/b": '{"b":2}' });
});

it("drops the entries of a process that is not alive any more, and removes its files", async () => {
	const seen = follow(open(), "v1/instances/");
	await seen.until({});
	writeFileSync(fileOf(KEY), "{}"); // nobody renews it
	await seen.until({ [KEY]: "{}" });
	await seen.until({});
	expect(readdirSync(join(directory, "v1/instances"))).toEqual([]);
});

it("keeps what is renewed, for longer than the time to live", async () => {
	const worker = open();
	await worker.put(KEY, "{}", await worker.lease());
	const seen = follow(open(), "v1/instances/");
	await seen.until({ [KEY]: "{}" });
	const first = statSync(fileOf(KEY)).mtimeMs;
	while (statSync(fileOf(KEY)).mtimeMs < first + 1500)
		await new Promise((resolve) => setTimeout(resolve, 50));
	expect(seen.events).toHaveLength(2);
});

it("does not show what is old at first sight until its owner renews it", async () => {
	const worker = open({ ttlMs: 3000 });
	await worker.put(KEY, "{}", await worker.lease());
	utimesSync(fileOf(KEY), 1000, 1000);
	mkdirSync(join(directory, "v1/instances"), { recursive: true });
	const seen = follow(open({ ttlMs: 3000 }), "v1/instances/");
	await seen.until({ [KEY]: "{}" });
	expect(seen.events[0]).toEqual({ type: "synced" });
});

it("does not take anybody for dead when the wall clock jumps", async () => {
	const worker = open();
	await worker.put(KEY, "{}", await worker.lease());
	const reader = open();
	const seen = follow(reader, "v1/instances/");
	await seen.until({ [KEY]: "{}" });
	const now = vi.spyOn(Date, "now");
	for (const jumpMs of [3_600_000, -3_600_000]) {
		const real = performance.timeOrigin + performance.now();
		now.mockReturnValue(real + jumpMs);
		const before = statSync(fileOf(KEY)).mtimeMs;
		while (statSync(fileOf(KEY)).mtimeMs === before) await new Promise((resolve) => setTimeout(resolve, 20));
	}
	now.mockRestore();
	expect(seen.events.some(({ type }) => type === "delete")).toBe(false);
});

it("writes again what somebody else removed", async () => {
	const worker = open();
	await worker.put(KEY, '{"a":1}', await worker.lease());
	const seen = follow(open(), "v1/instances/");
	await seen.until({ [KEY]: '{"a":1}' });
	rmSync(fileOf(KEY));
	await seen.until({});
	await seen.until({ [KEY]: '{"a":1}' });
});

it("goes on when the folder cannot be written, keeps what was seen, and puts it when it can", async () => {
	const records: LogRecord[] = [];
	const logger = createLogger("warn", (record) => records.push(record));
	const blocked = join(directory, "blocked");
	writeFileSync(blocked, "a file where the folder should be");
	const worker = open({ directory: blocked, logger });
	await expect(worker.put(KEY, "{}", await worker.lease())).rejects.toMatchObject({ code: "UNAVAILABLE" });
	const seen = follow(open({ directory: blocked, logger }), "v1/instances/");
	while (records.length === 0) await new Promise(setImmediate); // it was noticed
	rmSync(blocked);
	await seen.until({ [KEY]: "{}" });
});

it("takes everything along when the lease is revoked or the store closes", async () => {
	const [worker, other] = [open(), open()];
	const seen = follow(other, "v1/instances/");
	const lease = await worker.lease();
	await worker.put(KEY, "{}", lease);
	await worker.put("v1/instances/b", "{}", await worker.lease());
	await lease.revoke();
	expect(readdirSync(join(directory, "v1/instances"))).toEqual(["b"]);
	await worker.close();
	expect(readdirSync(join(directory, "v1/instances"))).toEqual([]);
	await expect(worker.put(KEY, "{}", lease)).rejects.toMatchObject({ code: "UNAVAILABLE" });
	await seen.until({});
});
