// SPDX-License-Identifier: Apache-2.0
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AsyncQueue, DynError, type Logger, silentLogger } from "@dyn/common";
import type { KeyValueStore, Lease, StoreEvent } from "../key-value-store.js";
import { BucketWatch } from "./bucket-watch.js";
import { splitKey } from "./file-name.js";
import { OwnedFiles } from "./owned-files.js";

export interface FileStoreOptions {
	/** Folder that all processes of one host share. Default, as in Dynamo: `dynamo_store_kv` in the system's temporary folder. */
	readonly directory?: string;
	/** Time after which a process that shows no life is taken for dead, ms; at least 1000. Default 10,000. */
	readonly ttlMs?: number;
	readonly logger?: Logger;
}

/** Discovery through files on one host, in Dynamo's layout: no server, and every process sees the others' entries. */
export function createFileStore(options: FileStoreOptions = {}): KeyValueStore {
	return new FileStore(options);
}

class FileStore implements KeyValueStore {
	readonly status = "connected";
	readonly #directory: string;
	readonly #ttlMs: number;
	readonly #logger: Logger;
	readonly #buckets = new Map<string, BucketWatch>();
	readonly #leases = new Map<Lease, OwnedFiles>();
	readonly #queues = new Set<AsyncQueue<StoreEvent>>();
	readonly #heartbeat: NodeJS.Timeout;
	#closed = false;

	constructor(options: FileStoreOptions) {
		this.#directory = options.directory ?? join(tmpdir(), "dynamo_store_kv");
		this.#ttlMs = options.ttlMs ?? 10_000;
		this.#logger = options.logger ?? silentLogger;
		if (!(this.#ttlMs >= 1000))
			throw new DynError("INVALID_ARGUMENT", `ttlMs must be at least 1000, got ${options.ttlMs}`);
		this.#heartbeat = setInterval(() => {
			for (const files of this.#leases.values()) void files.heartbeat();
			for (const bucket of this.#buckets.values()) void bucket.refresh();
		}, this.#ttlMs / 3).unref();
	}

	async lease(): Promise<Lease> {
		// Files are linked into place: where they are written must be the same file system, and no bucket.
		const files = new OwnedFiles(join(this.#directory, ".staging"), this.#logger);
		const lease: Lease = {
			revoke: async () => {
				this.#leases.delete(lease);
				await files.deleteAll();
			},
		};
		this.#leases.set(lease, files);
		return lease;
	}

	async put(key: string, value: string, lease: Lease): Promise<void> {
		const files = this.#leases.get(lease);
		if (this.#closed || !files) throw new DynError("UNAVAILABLE", "the discovery store is closed");
		await files.put(this.#pathOf(key), value);
	}

	async delete(key: string): Promise<void> {
		const path = this.#pathOf(key);
		await Promise.all([...this.#leases.values()].map((files) => files.delete(path)));
	}

	watch(prefix: string, signal: AbortSignal): AsyncIterable<StoreEvent> {
		const [bucketName] = splitKey(prefix);
		const rest = prefix.slice(bucketName.length + 1);
		let known = new Map<string, string>();
		let isSynced = false;
		const queue: AsyncQueue<StoreEvent> = new AsyncQueue(() => stop());
		const unsubscribe = this.#bucket(bucketName).subscribe((entries) => {
			const present = new Map([...entries].filter(([key]) => key.startsWith(rest)));
			for (const [key, value] of present)
				if (known.get(key) !== value) queue.push({ type: "put", key: `${bucketName}/${key}`, value });
			for (const key of known.keys())
				if (!present.has(key)) queue.push({ type: "delete", key: `${bucketName}/${key}` });
			known = present;
			if (!isSynced) queue.push({ type: "synced" });
			isSynced = true;
		});
		const stop = () => {
			unsubscribe();
			this.#queues.delete(queue);
			signal.removeEventListener("abort", stop);
			queue.end();
		};
		this.#queues.add(queue);
		signal.addEventListener("abort", stop, { once: true });
		if (signal.aborted || this.#closed) stop();
		return queue;
	}

	async close(): Promise<void> {
		if (this.#closed) return;
		this.#closed = true;
		clearInterval(this.#heartbeat);
		await Promise.all([...this.#leases.keys()].map((lease) => lease.revoke()));
		for (const bucket of this.#buckets.values()) bucket.close();
		for (const queue of this.#queues) queue.end();
		this.#queues.clear();
	}

	#bucket(name: string): BucketWatch {
		const known = this.#buckets.get(name);
		if (known) return known;
		const bucket = new BucketWatch(join(this.#directory, name), this.#ttlMs, this.#logger);
		this.#buckets.set(name, bucket);
		return bucket;
	}

	#pathOf(key: string): string {
		return join(this.#directory, ...splitKey(key));
	}
}
