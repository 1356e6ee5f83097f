// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { Resource } from "./kinds.js";

export interface Change {
	readonly version: number;
	readonly plural: string;
	readonly before: Resource | null;
	readonly after: Resource | null;
}

/** What etcd is to the API server: every write has the next version, and old versions are forgotten on compaction. */
export class ObjectStore {
	readonly #objects = new Map<string, Resource>();
	#history: Change[] = [];
	#version = 1000;
	#compacted = 1000;
	readonly #listeners = new Set<(change: Change) => void>();

	get version(): number {
		return this.#version;
	}

	/** A watch can begin at this version or later. */
	get oldest(): number {
		return this.#compacted;
	}

	get(plural: string, namespace: string, name: string): Resource | null {
		return this.#objects.get(`${plural}/${namespace}/${name}`) ?? null;
	}

	list(plural: string, namespace: string): Resource[] {
		const prefix = `${plural}/${namespace}/`;
		return [...this.#objects].filter(([key]) => key.startsWith(prefix)).map(([, resource]) => resource);
	}

	/** Creates or replaces; sets what the server sets. A write that changes nothing has no version. */
	put(plural: string, namespace: string, resource: Resource): Resource {
		const key = `${plural}/${namespace}/${resource.metadata.name}`;
		const before = this.#objects.get(key) ?? null;
		const uid = before?.metadata.uid ?? randomUUID();
		const generation = before?.metadata.generation ?? 1;
		const after = structuredClone(resource);
		Object.assign(after.metadata, {
			namespace,
			uid,
			generation,
			resourceVersion: before?.metadata.resourceVersion,
		});
		if (before && isDeepStrictEqual(before, after)) return before;
		if (before && !isDeepStrictEqual(before["spec"], after["spec"]))
			after.metadata.generation = generation + 1;
		this.#version++;
		after.metadata.resourceVersion = String(this.#version);
		this.#objects.set(key, after);
		this.#record({ version: this.#version, plural, before, after });
		return after;
	}

	delete(plural: string, namespace: string, name: string): void {
		const key = `${plural}/${namespace}/${name}`;
		const before = this.#objects.get(key);
		if (!before) throw new Error(`there is no ${key}`);
		this.#objects.delete(key);
		this.#version++;
		this.#record({ version: this.#version, plural, before, after: null });
	}

	/** Forgets the history up to now. */
	compact(): void {
		this.#history = [];
		this.#compacted = this.#version;
	}

	/** Changes after `version`, from the history and from now on, until the returned function is called. */
	follow(version: number, listener: (change: Change) => void): () => void {
		for (const change of this.#history) if (change.version > version) listener(change);
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}

	#record(change: Change): void {
		this.#history.push(change);
		for (const listener of [...this.#listeners]) listener(change);
	}
}
