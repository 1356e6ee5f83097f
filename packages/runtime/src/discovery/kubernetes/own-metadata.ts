// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { ApiClient } from "./api-client.js";
import { statusOf } from "./api-error.js";
import { BackOff } from "./back-off.js";
import { objectIn, textIn } from "./json-object.js";
import { encodeWorkerMetadata, type MetadataOwner } from "./worker-metadata.js";

/** The name under which Dynamo's workers own the fields that they apply. */
const FIELD_MANAGER = "dynamo-worker";

/**
 * Keeps this worker's metadata resource as it is wanted: applied while there are entries, deleted when there are none.
 * Calls go one after the other, and one that fails is repeated until it succeeds.
 */
export class OwnMetadata {
	readonly #client: ApiClient;
	readonly #collection: string;
	readonly #owner: MetadataOwner;
	readonly #logger: Logger;
	readonly #backOff = new BackOff();
	#entries: ReadonlyMap<string, string> = new Map();
	/** Whether the resource may exist because of this worker. */
	#mayExist: boolean;
	#uid: string | null = null;
	#failing = false;
	#closed = false;
	#running: Promise<void> = Promise.resolve();
	/** Begins when `#running` is over, so it sees what is wanted now. */
	#next: Promise<void> | null = null;
	#retry: NodeJS.Timeout | undefined;

	/**
	 * @param collection path of the metadata resources
	 * @param mayExist whether an earlier run of this worker may have left a resource behind, which is to go
	 */
	constructor(
		client: ApiClient,
		collection: string,
		owner: MetadataOwner,
		mayExist: boolean,
		logger: Logger,
	) {
		this.#client = client;
		this.#collection = collection;
		this.#owner = owner;
		this.#mayExist = mayExist;
		this.#logger = logger;
		if (mayExist) this.#repeat(0);
	}

	/** False while the server does not have what is wanted. */
	get current(): boolean {
		return !this.#failing;
	}

	/**
	 * Resolves when the server has these entries, or newer ones.
	 * @throws DynError UNAVAILABLE when it could not be told; it is told as soon as it can
	 */
	set(entries: ReadonlyMap<string, string>): Promise<void> {
		this.#entries = entries;
		this.#backOff.reset();
		return this.#flush();
	}

	/** The resource is not there (any more): somebody deleted it, or the server lost it. */
	missing(): void {
		if (this.#entries.size > 0 && !this.#closed) this.#repeat(this.#backOff.next());
	}

	/** No more calls are begun. */
	close(): void {
		this.#closed = true;
		clearTimeout(this.#retry);
	}

	#flush(): Promise<void> {
		this.#next ??= this.#running
			.catch(() => {})
			.then(() => {
				this.#running = this.#next!;
				this.#next = null;
				return this.#write();
			});
		return this.#next;
	}

	async #write(): Promise<void> {
		clearTimeout(this.#retry);
		if (this.#closed) throw new DynError("UNAVAILABLE", "the discovery store is closed");
		try {
			if (this.#entries.size > 0) await this.#apply();
			else if (this.#mayExist) await this.#delete();
			if (this.#failing) this.#logger.info("what this worker publishes is written");
			this.#failing = false;
		} catch (error) {
			if (!this.#failing)
				this.#logger.warn("what this worker publishes cannot be written; is repeated until it can", {
					error,
				});
			this.#failing = true;
			if (!this.#closed) this.#repeat(this.#backOff.next());
			throw error;
		}
	}

	/** Server-side apply: creates or changes it, and takes away what this worker applied before and does not now. */
	async #apply(): Promise<void> {
		this.#mayExist = true;
		const resource = await this.#client.call("PATCH", `${this.#collection}/${this.#owner.name}`, {
			query: { fieldManager: FIELD_MANAGER, force: "true" },
			body: { type: "application/apply-patch+yaml", text: encodeWorkerMetadata(this.#owner, this.#entries) },
		});
		this.#uid = textIn(objectIn(resource["metadata"])["uid"]);
	}

	async #delete(): Promise<void> {
		// A pod of the same name may have taken over: then it is another's resource.
		const preconditions = this.#uid === null ? {} : { preconditions: { uid: this.#uid } };
		try {
			await this.#client.call("DELETE", `${this.#collection}/${this.#owner.name}`, {
				body: {
					type: "application/json",
					text: JSON.stringify({ kind: "DeleteOptions", apiVersion: "v1", ...preconditions }),
				},
			});
		} catch (error) {
			if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error;
		}
		this.#mayExist = false;
		this.#uid = null;
	}

	#repeat(delayMs: number): void {
		clearTimeout(this.#retry);
		this.#retry = setTimeout(() => {
			// Failures are logged and repeated by the write itself.
			this.#flush().catch(() => {});
		}, delayMs).unref();
	}
}
