// SPDX-License-Identifier: Apache-2.0
import { type JsonObject, nameOf } from "./json-object.js";
import type { ReadyWorker } from "./readiness.js";
import type { MirrorListener } from "./resource-mirror.js";

/** Which workers take requests, by the EndpointSlices or Pods that say so; two slices may name the same pod. */
export class ReadinessIndex implements MirrorListener {
	#readyIn = new Map<string, readonly ReadyWorker[]>();
	#listed = false;
	readonly #read: (resource: JsonObject) => readonly ReadyWorker[];
	readonly #onChange: () => void;

	constructor(read: (resource: JsonObject) => readonly ReadyWorker[], onChange: () => void) {
		this.#read = read;
		this.#onChange = onChange;
	}

	/** Whether all that exist have been told. */
	get listed(): boolean {
		return this.#listed;
	}

	get workers(): readonly ReadyWorker[] {
		return [...this.#readyIn.values()].flat();
	}

	replaced(resources: readonly JsonObject[]): void {
		this.#readyIn = new Map(resources.map((resource) => [nameOf(resource), this.#read(resource)]));
		this.#listed = true;
		this.#onChange();
	}

	applied(resource: JsonObject): void {
		this.#readyIn.set(nameOf(resource), this.#read(resource));
		this.#onChange();
	}

	deleted(resource: JsonObject): void {
		this.#readyIn.delete(nameOf(resource));
		this.#onChange();
	}
}
