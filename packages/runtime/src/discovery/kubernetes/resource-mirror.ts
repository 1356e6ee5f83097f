// SPDX-License-Identifier: Apache-2.0
import { type Logger, pause } from "@dyn/common";
import type { ApiClient } from "./api-client.js";
import { statusOf } from "./api-error.js";
import { BackOff } from "./back-off.js";
import { type JsonObject, objectIn, objectsIn, textIn } from "./json-object.js";

/** Objects per page of a list. */
const PAGE = 500;
/** A watch that lived this long has done its work, even if nothing happened meanwhile. */
const LONG_WATCH_MS = 10_000;

export interface MirrorListener {
	/** All that exist now. */
	replaced(resources: readonly JsonObject[]): void;
	applied(resource: JsonObject): void;
	deleted(resource: JsonObject): void;
}

/**
 * Tells a listener of the resources of one kind in one namespace: lists them, then watches from the version of the list.
 * A watch that ends is resumed where it ended; when the server has forgotten that version, or refuses, they are listed
 * again. Never ends before `close`.
 */
export class ResourceMirror {
	readonly #client: ApiClient;
	readonly #path: string;
	readonly #selector: Readonly<Record<string, string>>;
	readonly #listener: MirrorListener;
	readonly #logger: Logger;
	readonly #closing = new AbortController();
	readonly #backOff = new BackOff();
	#state: "starting" | "connected" | "lost" = "starting";
	/** Where to watch from; null to list first. */
	#version: string | null = null;

	/** @param path of the collection */
	constructor(
		client: ApiClient,
		path: string,
		labelSelector: string | null,
		listener: MirrorListener,
		logger: Logger,
	) {
		this.#client = client;
		this.#path = path;
		this.#selector = labelSelector === null ? {} : { labelSelector };
		this.#listener = listener;
		this.#logger = logger.child({ path });
		void this.#run();
	}

	/** Whether what was told is current. */
	get connected(): boolean {
		return this.#state === "connected";
	}

	close(): void {
		this.#state = "lost";
		this.#closing.abort();
	}

	async #run(): Promise<void> {
		const { signal } = this.#closing;
		while (!signal.aborted) {
			try {
				await this.#follow(signal);
			} catch (error) {
				if (signal.aborted) return;
				// The server was reached and will not go on from this version.
				if (statusOf(error) !== null) this.#version = null;
				if (statusOf(error) !== 410) this.#disconnected(error);
				await pause(this.#backOff.next(), signal);
			}
		}
	}

	/** One list, if need be, and one watch. */
	async #follow(signal: AbortSignal): Promise<void> {
		if (this.#version === null) await this.#list(signal);
		const began = performance.now();
		const events = await this.#client.watch(this.#path, this.#selector, this.#version!);
		this.#reached();
		let told = false;
		for await (const { type, object } of events) {
			if (signal.aborted) return;
			told = true;
			this.#backOff.reset();
			this.#version = versionOf(object) ?? this.#version;
			if (type === "ADDED" || type === "MODIFIED") this.#listener.applied(object);
			else if (type === "DELETED") this.#listener.deleted(object);
		}
		if (told || performance.now() - began > LONG_WATCH_MS) this.#backOff.reset();
		else await pause(this.#backOff.next(), signal);
	}

	async #list(signal: AbortSignal): Promise<void> {
		const resources: JsonObject[] = [];
		let page: JsonObject;
		let next: string | null = null;
		do {
			const query = { ...this.#selector, limit: String(PAGE), ...(next === null ? {} : { continue: next }) };
			page = await this.#client.call("GET", this.#path, { query });
			resources.push(...objectsIn(page["items"]));
			next = textIn(objectIn(page["metadata"])["continue"]);
		} while (next !== null);
		if (signal.aborted) return;
		this.#version = versionOf(page) ?? "0";
		this.#reached();
		this.#listener.replaced(resources);
	}

	#reached(): void {
		if (this.connected || this.#closing.signal.aborted) return;
		this.#state = "connected";
		this.#logger.info("discovery follows the Kubernetes API server");
	}

	#disconnected(error: unknown): void {
		if (this.#state !== "lost")
			this.#logger.warn("discovery cannot follow the Kubernetes API server; what is known stays", { error });
		this.#state = "lost";
	}
}

function versionOf(object: JsonObject): string | null {
	return textIn(objectIn(object["metadata"])["resourceVersion"]);
}
