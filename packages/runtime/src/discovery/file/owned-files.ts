// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { link, mkdir, open, rename, unlink, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DynError, type Logger } from "@dyn/common";

/**
 * Files that this process publishes and keeps alive: readers take a file whose modification time is older than the
 * lease's time to live for one whose owner has died. What cannot be written now is tried again at every heartbeat.
 */
export class OwnedFiles {
	readonly #staging: string;
	readonly #logger: Logger;
	readonly #wanted = new Map<string, string>();
	/** Written and not known to be gone. */
	readonly #written = new Set<string>();
	/** One change of the directory at a time, in order. */
	#last: Promise<unknown> = Promise.resolve();
	#complained = false;

	/** @param staging folder on the same file system, outside of every bucket: nobody watches it */
	constructor(staging: string, logger: Logger) {
		this.#staging = staging;
		this.#logger = logger;
	}

	put(path: string, content: string): Promise<void> {
		this.#wanted.set(path, content);
		return this.#inTurn(() => this.#write(path, content));
	}

	delete(path: string): Promise<void> {
		if (!this.#wanted.delete(path)) return Promise.resolve();
		return this.#inTurn(() => this.#remove(path));
	}

	/** Renews every file, and writes those that are missing. Never rejects. */
	heartbeat(): Promise<void> {
		return this.#inTurn(async () => {
			for (const [path, content] of this.#wanted) {
				try {
					await this.#renew(path, content);
					this.#complained = false;
				} catch (error) {
					if (!this.#complained)
						this.#logger.warn(
							"discovery's folder cannot be written; what is there stays until it is taken for dead",
							{
								path,
								error,
							},
						);
					this.#complained = true;
				}
			}
		});
	}

	async deleteAll(): Promise<void> {
		const paths = [...this.#wanted.keys()];
		this.#wanted.clear();
		await this.#inTurn(async () => {
			for (const path of paths) await this.#remove(path).catch(() => {}); // readers drop it when it is old
		});
	}

	#inTurn(work: () => Promise<void>): Promise<void> {
		const done = this.#last.then(work);
		this.#last = done.catch(() => {});
		return done;
	}

	async #renew(path: string, content: string): Promise<void> {
		const now = Date.now() / 1000;
		try {
			if (!this.#written.has(path)) throw Object.assign(new Error("not written yet"), { code: "ENOENT" });
			await utimes(path, now, now);
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
			await this.#write(path, content); // somebody took this process for dead
		}
	}

	/**
	 * A new entry appears by a hard link, which every watcher sees as a creation; a changed one by a rename. Either way a
	 * reader finds all of the text or nothing.
	 */
	async #write(path: string, content: string): Promise<void> {
		const staged = join(this.#staging, randomBytes(8).toString("hex"));
		try {
			await mkdir(this.#staging, { recursive: true });
			await mkdir(dirname(path), { recursive: true });
			const file = await open(staged, "wx");
			try {
				await file.writeFile(content);
				await file.sync();
			} finally {
				await file.close();
			}
			await link(staged, path).catch(async (error: NodeJS.ErrnoException) => {
				if (error.code !== "EEXIST") throw error;
				await rename(staged, path);
			});
			this.#written.add(path);
		} catch (cause) {
			throw new DynError(
				"UNAVAILABLE",
				`discovery cannot write ${path}: ${(cause as Error).message}; it is tried again`,
				{ cause },
			);
		} finally {
			await unlink(staged).catch(() => {}); // renamed, or never made
		}
	}

	async #remove(path: string): Promise<void> {
		this.#written.delete(path);
		await unlink(path).catch((error: NodeJS.ErrnoException) => {
			if (error.code !== "ENOENT")
				throw new DynError("UNAVAILABLE", `discovery cannot remove ${path}: ${error.message}`, {
					cause: error,
				});
		});
	}
}
