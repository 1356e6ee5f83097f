// SPDX-License-Identifier: Apache-2.0
import { linkSignals } from "@dyn/common";
import type { KeyValueStore, Lease, StoreEvent } from "../key-value-store.js";
import { Contact } from "./contact.js";
import { EtcdCalls } from "./etcd-calls.js";
import { type EtcdStoreOptions, type ResolvedOptions, resolveOptions } from "./options.js";
import { watchPrefix } from "./prefix-watch.js";
import { Registrations } from "./registrations.js";

/**
 * Discovery over etcd, with Dynamo's keys and values. An etcd that is not there is waited for: the store is made, what is put
 * is kept, and a watch begins when it comes. An open watch holds the process.
 *
 * @throws DynError INVALID_ARGUMENT, UNAUTHENTICATED (etcd is there and refuses), UNIMPLEMENTED (etcd3 is not installed)
 */
export async function createEtcdStore(options: EtcdStoreOptions = {}): Promise<KeyValueStore> {
	const resolved = resolveOptions(options);
	const store = new EtcdStore(resolved, await EtcdCalls.connect(resolved));
	try {
		await store.start();
	} catch (error) {
		await store.close();
		throw error;
	}
	return store;
}

class EtcdStore implements KeyValueStore {
	readonly #calls: EtcdCalls;
	readonly #contact: Contact;
	readonly #registrations: Registrations;
	readonly #stop = new AbortController();
	readonly #closeTimeoutMs: number;
	readonly #holdMs: number;
	#closing: Promise<void> | null = null;

	constructor(options: ResolvedOptions, calls: EtcdCalls) {
		const logger = options.logger.child({ etcd: options.endpoints.join(",") });
		this.#calls = calls;
		this.#contact = new Contact(logger);
		this.#registrations = new Registrations(calls, this.#contact, options, logger);
		this.#closeTimeoutMs = options.callTimeoutMs;
		// Whoever lost its lease notices at the next keepalive, and tries again every second.
		this.#holdMs = options.keepAliveMs + 1500;
	}

	/** Tries etcd once, then goes on in the background. */
	start(): Promise<void> {
		return this.#registrations.start();
	}

	get status(): "connected" | "disconnected" {
		return this.#contact.connected ? "connected" : "disconnected";
	}

	async lease(): Promise<Lease> {
		return this.#registrations.lease();
	}

	put(key: string, value: string, lease: Lease): Promise<void> {
		return this.#registrations.put(key, value, lease);
	}

	delete(key: string): Promise<void> {
		return this.#registrations.delete(key);
	}

	async *watch(prefix: string, signal: AbortSignal): AsyncGenerator<StoreEvent, void> {
		const either = linkSignals(signal, this.#stop.signal);
		try {
			yield* watchPrefix(this.#calls, this.#contact, prefix, this.#holdMs, either.signal);
		} finally {
			either.unlink();
		}
	}

	close(): Promise<void> {
		this.#closing ??= this.#close();
		return this.#closing;
	}

	async #close(): Promise<void> {
		this.#stop.abort();
		// An etcd that does not answer must not keep the process: the leases end by themselves.
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<void>((resolve) => {
			timer = setTimeout(resolve, this.#closeTimeoutMs);
		});
		await Promise.race([this.#registrations.close(), late]);
		clearTimeout(timer);
		this.#calls.close();
	}
}
