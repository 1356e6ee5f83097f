// SPDX-License-Identifier: Apache-2.0
import { mkdir, open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A holder touches its lock this often; one that has not for STALE_MS is dead, wherever it ran. */
const TOUCH_MS = 5_000;
const STALE_MS = 30_000;
const RETRY_MS = 200;

/**
 * Runs `work` while holding a lock file, so that two processes do not pull one model at once. Waits for another holder;
 * the lock of a dead process is taken over.
 * @throws whatever `work` throws, or the reason of `signal` when it aborts while waiting
 */
export async function withFileLock<T>(
	path: string,
	work: () => Promise<T>,
	signal?: AbortSignal,
	onWait: () => void = () => {},
): Promise<T> {
	await mkdir(dirname(path), { recursive: true });
	for (let waited = false; !(await take(path)); waited = true) {
		if (!waited) onWait();
		await delay(RETRY_MS, undefined, signal ? { signal } : {});
	}
	const touch = setInterval(() => {
		const now = new Date();
		utimes(path, now, now).catch(() => {}); // the next taker decides by age; nothing else to do here
	}, TOUCH_MS);
	touch.unref();
	try {
		return await work();
	} finally {
		clearInterval(touch);
		await rm(path, { force: true });
	}
}

async function take(path: string): Promise<boolean> {
	try {
		const file = await open(path, "wx");
		await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
		await file.close();
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
	}
	if (await isDead(path)) await rm(path, { force: true });
	return false;
}

async function isDead(path: string): Promise<boolean> {
	try {
		const [text, { mtimeMs }] = [await readFile(path, "utf8"), await stat(path)];
		if (Date.now() - mtimeMs > STALE_MS) return true;
		const { pid, host } = JSON.parse(text) as { pid: number; host: string };
		return host === hostname() && !isAlive(pid);
	} catch {
		return false; // being written or already gone
	}
}

function isAlive(pid: number): boolean {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === "EPERM";
	}
}
