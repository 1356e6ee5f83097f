// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { withFileLock } from "./file-lock.js";

let folder: string;
let path: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-lock-"));
	path = join(folder, "model.lock");
});
afterEach(async () => {
	vi.restoreAllMocks();
	await rm(folder, { recursive: true });
});

const lockOf = (pid: number, host = hostname()) =>
	writeFileSync(path, JSON.stringify({ pid, host, id: "other" }));
const deadPid = () => spawnSync("true").pid;

it("lets one at a time in, and leaves nothing behind", async () => {
	let inside = 0;
	const work = async (i: number) => {
		expect(++inside).toBe(1);
		await new Promise((resolve) => setImmediate(resolve));
		inside--;
		return i;
	};
	const all = [0, 1, 2, 3].map((i) => withFileLock(path, () => work(i)));
	expect(await Promise.all(all)).toEqual([0, 1, 2, 3]);
	expect(readdirSync(folder)).toEqual([]);
});

it("is released when the work fails", async () => {
	await expect(withFileLock(path, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
	expect(readdirSync(folder)).toEqual([]);
});

it("takes over from a process that died, one at a time", async () => {
	lockOf(deadPid());
	let inside = 0;
	const work = async () => {
		expect(++inside).toBe(1);
		await new Promise((resolve) => setImmediate(resolve));
		inside--;
	};
	await Promise.all(Array.from({ length: 8 }, () => withFileLock(path, work)));
	expect(readdirSync(folder)).toEqual([]);
});

it("takes over from a holder that does not touch its lock, wherever it runs", async () => {
	lockOf(process.pid, "another-host");
	expect(await withFileLock(path, async () => "done", { staleMs: 20 })).toBe("done");
});

it("takes over a take-over whose process died in it", async () => {
	lockOf(deadPid());
	writeFileSync(`${path}.takeover`, "");
	expect(await withFileLock(path, async () => "done", { staleMs: 20 })).toBe("done");
	expect(readdirSync(folder)).toEqual([]);
});

it.each([
	["alive", () => lockOf(process.ppid)],
	["on another host", () => lockOf(deadPid(), "another-host")],
	["still writing its lock", () => writeFileSync(path, "")],
])("waits, however long, for a holder that is %s and touches its lock", async (_what, write) => {
	write();
	let [looks, waits] = [0, 0];
	// A day passes between any two looks at the clock, and the holder has always just touched its lock.
	vi.spyOn(performance, "now").mockImplementation(() => {
		if (++looks > 6) rmSync(path, { force: true });
		else utimesSync(path, looks, looks);
		return looks * 86_400_000;
	});
	const holder = readFileSync(path, "utf8");
	await withFileLock(
		path,
		async () => {
			expect(looks).toBeGreaterThan(6);
			expect(readFileSync(path, "utf8")).not.toBe(holder);
		},
		{ onWait: () => waits++, staleMs: 2 * 86_400_000 },
	);
	expect(waits).toBe(1);
});

it("does not remove the lock of one who was faster to take over", async () => {
	lockOf(deadPid());
	let looks = 0;
	vi.spyOn(process, "kill").mockImplementation(() => {
		looks++;
		if (looks === 1) {
			lockOf(process.ppid); // between our finding the holder dead and our removing its lock
			throw Object.assign(new Error("no such process"), { code: "ESRCH" });
		}
		if (looks === 4) rmSync(path);
		return true;
	});
	await withFileLock(path, async () => expect(looks).toBe(4));
});

it("can be left waiting", async () => {
	lockOf(process.ppid);
	const reason = new Error("Ctrl-C");
	const stop = new AbortController();
	const waiting = withFileLock(path, async () => "never", {
		signal: stop.signal,
		onWait: () => queueMicrotask(() => stop.abort(reason)),
	});
	await expect(waiting).rejects.toBe(reason);
	expect(existsSync(path)).toBe(true);
});

it("does not remove the lock of whoever took over", async () => {
	await withFileLock(path, async () => lockOf(process.ppid));
	expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ id: "other" });
});
