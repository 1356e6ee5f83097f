// SPDX-License-Identifier: Apache-2.0
import type { Logger } from "@dyn/common";
import { type JsonObject, nameOf, objectIn, textIn } from "./json-object.js";
import type { MirrorListener } from "./resource-mirror.js";
import { decodeWorkerMetadata, ownerPodUid } from "./worker-metadata.js";

/** What a worker publishes. */
export interface WorkerMetadata {
	readonly uid: string | null;
	readonly podUid: string | null;
	/** By store key, JSON texts. */
	readonly entries: ReadonlyMap<string, string>;
}

/**
 * The metadata resources by name. One that cannot be read keeps what it said last, as long as it is the same resource of
 * the same pod: other writers are known to empty it for a moment (ai-dynamo/dynamo #9413).
 */
export class MetadataCache implements MirrorListener {
	#workers = new Map<string, WorkerMetadata>();
	#listed = false;
	readonly #onChange: () => void;
	readonly #onGone: (name: string) => void;
	readonly #logger: Logger;

	/** @param onGone hears the name of a resource that was there and is not any more */
	constructor(onChange: () => void, onGone: (name: string) => void, logger: Logger) {
		this.#onChange = onChange;
		this.#onGone = onGone;
		this.#logger = logger;
	}

	/** Whether all that exist have been told. */
	get listed(): boolean {
		return this.#listed;
	}

	get workers(): ReadonlyMap<string, WorkerMetadata> {
		return this.#workers;
	}

	replaced(resources: readonly JsonObject[]): void {
		const before = this.#workers;
		this.#workers = new Map();
		for (const resource of resources) this.#read(resource, before.get(nameOf(resource)));
		this.#listed = true;
		this.#onChange();
		const names = new Set(resources.map(nameOf));
		for (const name of before.keys()) if (!names.has(name)) this.#onGone(name);
	}

	applied(resource: JsonObject): void {
		const before = this.#workers.get(nameOf(resource));
		this.#workers.delete(nameOf(resource));
		this.#read(resource, before);
		this.#onChange();
	}

	deleted(resource: JsonObject): void {
		this.#workers.delete(nameOf(resource));
		this.#onChange();
		this.#onGone(nameOf(resource));
	}

	#read(resource: JsonObject, before: WorkerMetadata | undefined): void {
		const name = nameOf(resource);
		const identity = {
			uid: textIn(objectIn(resource["metadata"])["uid"]),
			podUid: ownerPodUid(resource),
		};
		try {
			this.#workers.set(name, { ...identity, entries: decodeWorkerMetadata(resource) });
		} catch (error) {
			const same = before !== undefined && before.uid === identity.uid && before.podUid === identity.podUid;
			if (same) this.#workers.set(name, before);
			this.#logger.warn("a worker's metadata resource cannot be read", { name, kept: same, error });
		}
	}
}
