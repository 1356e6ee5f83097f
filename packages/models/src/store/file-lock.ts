// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { mkdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const RETRY_MS = 200;

export interface FileLockOptions {
	readonly signal?: AbortSignal | undefined;
	/** Called once when another holder has to be waited for. */
	readonly onWait?: (() => void) | undefined;
	/** A lock untouched for this long is a dead process's; holders touch theirs six times as often. Default 30 s. */
	readonly staleMs?: number | undefined;
}

/**
 * Runs `work` while holding a lock file, so that two processes do not pull one model at once. Waits for another holder.
 * A lock is taken over when its process is gone (same host) or has not touched it while this one watched; ages by the
 * wall clock would deceive after a suspend or between machines that share a disk.
 * @throws whatever `work` throws, or the reason of `signal` when it aborts while waiting
 */
export async function withFileLock<T>(
	path: string,
	work: () => Promise<T>,
	{ signal, onWait, staleMs = 30_000 }: FileLockOptions = {},
): Promise<T> {
	await mkdir(dirname(path), { recursive: true });
	const content = JSON.stringify({ pid: process.pid, host: hostname(), id: randomUUID() });
	const lock = new Watch(path, staleMs);
	const takeover = new Watch(`${path}.takeover`, staleMs);
	for (let waited = false; !(await create(path, content)); waited = true) {
		signal?.throwIfAborted();
		if (!waited) onWait?.();
		if ((await lock.isDead()) && (await removeDead(lock, takeover))) continue;
		await delay(RETRY_MS, undefined, signal ? { signal } : {}).catch(() => signal?.throwIfAborted());
	}
	const touch = setInterval(() => {
		const now = new Date();
		utimes(path, now, now).catch(() => {}); // whoever waits decides by this; nothing else to do here
	}, staleMs / 6);
	touch.unref();
	try {
		return await work();
	} finally {
		clearInterval(touch);
		// Not ours any more if this process slept so long that another took over.
		if ((await readFile(path, "utf8").catch(() => null)) === content) await rm(path, { force: true });
	}
}

/**
 * Removes the lock if it is still dead. Only one process at a time does this, which the `takeover` file sees to:
 * otherwise the slower of two could remove the lock that the faster one has just taken.
 */
async function removeDead(lock: Watch, takeover: Watch): Promise<boolean> {
	if (!(await create(takeover.path, ""))) {
		if (await takeover.isDead()) await rm(takeover.path, { force: true });
		return false;
	}
	try {
		if (!(await lock.isDead())) return false;
		await rm(lock.path, { force: true });
		return true;
	} finally {
		await rm(takeover.path, { force: true });
	}
}

/** Writes a file that must not exist yet; false when it does. */
async function create(path: string, content: string): Promise<boolean> {
	try {
		await writeFile(path, content, { flag: "wx" });
		return true;
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
		return false;
	}
}

/** Somebody else's lock, seen again and again. */
class Watch {
	readonly path: string;
	readonly #staleMs: number;
	#mtimeMs = Number.NaN;
	#unchangedSince = 0;

	constructor(path: string, staleMs: number) {
		this.path = path;
		this.#staleMs = staleMs;
	}

	async isDead(): Promise<boolean> {
		try {
			const { mtimeMs } = await stat(this.path);
			if (mtimeMs !== this.#mtimeMs) {
				this.#mtimeMs = mtimeMs;
				this.#unchangedSince = performance.now();
			}
			if (performance.now() - this.#unchangedSince > this.#staleMs) return true;
			const { pid, host } = JSON.parse(await readFile(this.path, "utf8")) as { pid: number; host: string };
			return host === hostname() && !isAlive(pid);
		} catch {
			return false; // being written, or gone
		}
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
