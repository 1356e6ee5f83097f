// SPDX-License-Identifier: Apache-2.0
import { type FSWatcher, watch } from "node:fs";
import { mkdir, readdir, readFile, stat, unlink } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "@dyn/common";
import { decodeFileName } from "./file-name.js";

/** What a bucket's entries look like to its watchers. */
export type BucketListener = (entries: ReadonlyMap<string, string>) => void;

/**
 * The entries of one bucket, read again whenever the folder changes and at every heartbeat. What cannot be read keeps
 * its last good text; what was not renewed for the time to live, by this process's own clock, is gone.
 */
export class BucketWatch {
	readonly #folder: string;
	readonly #ttlMs: number;
	readonly #logger: Logger;
	readonly #listeners = new Set<BucketListener>();
	#entries = new Map<string, string>();
	/** By file name: the modification time last seen, and when it was first seen (monotonic ms). */
	readonly #seen = new Map<
		string,
		{ readonly mtimeMs: number; readonly atMs: number; readonly isDoubtful: boolean }
	>();
	#watcher: FSWatcher | null = null;
	#reading = false;
	#again = false;
	#isRead = false;
	#closed = false;

	constructor(folder: string, ttlMs: number, logger: Logger) {
		this.#folder = folder;
		this.#ttlMs = ttlMs;
		this.#logger = logger;
	}

	/** Calls `listener` with all entries: now, if they are known, and after every change. Returns the way out. */
	subscribe(listener: BucketListener): () => void {
		this.#listeners.add(listener);
		if (this.#isRead) listener(this.#entries);
		else void this.refresh();
		return () => this.#listeners.delete(listener);
	}

	close(): void {
		this.#closed = true;
		this.#watcher?.close();
		this.#listeners.clear();
	}

	/** Reads the folder; calls while it is being read lead to one more reading. Never rejects. */
	async refresh(): Promise<void> {
		this.#again = true;
		if (this.#reading) return;
		this.#reading = true;
		while (this.#again && !this.#closed) {
			this.#again = false;
			try {
				await this.#watch();
				await this.#read();
			} catch (error) {
				this.#logger.warn("discovery's folder cannot be read; what was seen stays", {
					folder: this.#folder,
					error,
				});
				this.#stopWatching();
			}
		}
		this.#reading = false;
	}

	async #watch(): Promise<void> {
		if (this.#watcher) return;
		await mkdir(this.#folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
			if (error.code !== "EROFS" && error.code !== "EACCES") throw error;
		});
		this.#watcher = watch(this.#folder, { persistent: false }, () => void this.refresh());
		this.#watcher.on("error", () => this.#stopWatching()); // the next heartbeat watches again
	}

	#stopWatching(): void {
		this.#watcher?.close();
		this.#watcher = null;
	}

	async #read(): Promise<void> {
		const entries = new Map<string, string>();
		const names = await readdir(this.#folder);
		for (const name of names) {
			const rest = decodeFileName(name);
			if (rest === null) continue;
			const known = this.#entries.get(rest);
			try {
				const path = join(this.#folder, name);
				const life = this.#lifeOf(name, (await stat(path)).mtimeMs);
				if (life === "doubtful" || (life === "dead" && (await isRemoved(path)))) continue;
				const text = await readFile(path, "utf8");
				if (isWhole(text)) entries.set(rest, text);
				else if (known !== undefined) entries.set(rest, known); // somebody does not write atomically
			} catch (error) {
				const gone = (error as NodeJS.ErrnoException).code === "ENOENT";
				if (!gone && known !== undefined) entries.set(rest, known);
			}
		}
		for (const name of this.#seen.keys()) if (!names.includes(name)) this.#seen.delete(name);
		this.#entries = entries;
		this.#isRead = true;
		for (const listener of this.#listeners) listener(entries);
	}

	/**
	 * A file is dead when it was not renewed for the time to live by this process's own clock: a wall clock that jumps
	 * kills nobody. Old at first sight, it is doubtful until its owner renews it.
	 */
	#lifeOf(name: string, mtimeMs: number): "alive" | "doubtful" | "dead" {
		const now = performance.now();
		const seen = this.#seen.get(name);
		if (!seen) {
			const isDoubtful = Date.now() - mtimeMs > this.#ttlMs;
			this.#seen.set(name, { mtimeMs, atMs: now, isDoubtful });
			return isDoubtful ? "doubtful" : "alive";
		}
		if (seen.mtimeMs !== mtimeMs) {
			this.#seen.set(name, { mtimeMs, atMs: now, isDoubtful: false });
			return "alive";
		}
		if (now - seen.atMs > this.#ttlMs) return "dead";
		return seen.isDoubtful ? "doubtful" : "alive";
	}
}

/** Others remove what is dead too. In a read-only folder nobody can: there the living cannot renew what is theirs either. */
async function isRemoved(path: string): Promise<boolean> {
	return unlink(path).then(
		() => true,
		(error: NodeJS.ErrnoException) => error.code !== "EROFS",
	);
}

function isWhole(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		return false;
	}
}
