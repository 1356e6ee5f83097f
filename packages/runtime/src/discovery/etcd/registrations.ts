// SPDX-License-Identifier: Apache-2.0
import { DynError, type Logger } from "@dyn/common";
import type { Lease } from "../key-value-store.js";
import { Bell, backoffMs } from "./bell.js";
import type { Contact } from "./contact.js";
import type { EtcdCalls } from "./etcd-calls.js";
import type { ResolvedOptions } from "./options.js";

type LeaseCalls = Pick<EtcdCalls, "probe" | "grant" | "keepAlive" | "revoke" | "put" | "delete">;

/** A lease as its owner sees it: it goes on when etcd's ends, under a new id. */
interface OwnLease extends Lease {
	/** etcd's, or null when there is none. */
	id: string | null;
	/** When it has to be granted, kept alive or revoked next, monotonic ms. */
	dueMs: number;
	revoked: boolean;
	/** Tells who waits for the revocation, done or not. */
	onEnd: () => void;
}

/** Someone who waits for the next try at a key. */
interface Waiter {
	readonly key: string;
	resolve(): void;
	reject(error: unknown): void;
}

/**
 * What this process wants etcd to have, and the one loop that makes it so, a call at a time: leases that are due first, then
 * keys that may differ. After a failure every key may differ; a key that turns out to be right is not written again.
 */
export class Registrations {
	readonly #calls: LeaseCalls;
	readonly #contact: Contact;
	readonly #options: Pick<ResolvedOptions, "leaseTtlSeconds" | "keepAliveMs">;
	readonly #logger: Logger;
	readonly #leases = new Set<OwnLease>();
	readonly #wanted = new Map<string, { readonly value: string; readonly lease: OwnLease }>();
	/** Keys to be put or, when not wanted, deleted. */
	readonly #doubtful = new Set<string>();
	/** Keys that etcd did not take for a reason of its own: tried again with the next keepalive. */
	readonly #refused = new Set<string>();
	#waiting: Waiter[] = [];
	readonly #work = new Bell();
	#reached = false;
	#closed = false;
	#running: Promise<void> = Promise.resolve();

	constructor(
		calls: LeaseCalls,
		contact: Contact,
		options: Pick<ResolvedOptions, "leaseTtlSeconds" | "keepAliveMs">,
		logger: Logger,
	) {
		this.#calls = calls;
		this.#contact = contact;
		this.#options = options;
		this.#logger = logger;
	}

	/**
	 * Tries etcd once, then works in the background.
	 * @throws DynError when etcd is there and refuses
	 */
	async start(): Promise<void> {
		try {
			await this.#calls.probe();
			this.#reached = true;
		} catch (error) {
			if (!DynError.is(error, "UNAVAILABLE")) throw error;
			this.#contact.lost(this, error);
		}
		this.#running = this.#run();
	}

	/** @throws DynError UNAVAILABLE when closed */
	lease(): Lease {
		if (this.#closed) throw new DynError("UNAVAILABLE", "the discovery store is closed");
		const lease: OwnLease = {
			id: null,
			dueMs: 0,
			revoked: false,
			onEnd: () => {},
			revoke: () => this.#revoke(lease),
		};
		this.#leases.add(lease);
		this.#work.ring();
		return lease;
	}

	async put(key: string, value: string, lease: Lease): Promise<void> {
		const own = lease as OwnLease;
		if (this.#closed || !this.#leases.has(own) || own.revoked)
			throw new DynError("UNAVAILABLE", `${key} cannot be put: its lease or the discovery store is closed`);
		this.#wanted.set(key, { value, lease: own });
		await this.#tried(key);
	}

	async delete(key: string): Promise<void> {
		this.#wanted.delete(key);
		// After close the lease is gone or will be, and the key with it.
		if (!this.#closed) await this.#tried(key);
	}

	/** Revokes every lease, with one try each. */
	async close(): Promise<void> {
		this.#closed = true;
		for (const lease of this.#leases) void this.#revoke(lease);
		this.#work.ring();
		await this.#running;
	}

	/** Resolves when etcd has the key as it is wanted now, rejects when the next try fails. */
	#tried(key: string): Promise<void> {
		this.#doubtful.add(key);
		return new Promise((resolve, reject) => {
			this.#waiting.push({ key, resolve, reject });
			this.#work.ring();
		});
	}

	#revoke(lease: OwnLease): Promise<void> {
		if (!this.#leases.has(lease)) return Promise.resolve();
		lease.revoked = true;
		lease.dueMs = 0;
		for (const [key, { lease: owner }] of this.#wanted) if (owner === lease) this.#wanted.delete(key);
		return new Promise((resolve) => {
			const others = lease.onEnd;
			lease.onEnd = () => {
				others();
				resolve();
			};
			this.#work.ring();
		});
	}

	/** Never throws. */
	async #run(): Promise<void> {
		let failures = 0;
		while (!this.#closed || this.#leases.size > 0) {
			try {
				if (!(await this.#step())) continue;
				failures = 0;
				this.#reached = true;
				this.#contact.reached(this);
			} catch (error) {
				this.#fail(error);
				if (!this.#closed) await this.#work.wait(backoffMs(failures++), true);
			}
		}
		this.#contact.left(this);
		this.#rejectWaiters(new DynError("UNAVAILABLE", "the discovery store is closed"));
	}

	/** @returns false when there was nothing to ask etcd */
	async #step(): Promise<boolean> {
		const now = performance.now();
		let next: OwnLease | undefined;
		for (const lease of this.#leases) if (!next || lease.dueMs < next.dueMs) next = lease;
		const [key] = this.#doubtful;
		if (next && next.dueMs <= now) return next.revoked ? this.#end(next) : this.#tend(next, now);
		if (key !== undefined) return this.#settle(key);
		if (this.#reached) {
			await this.#work.wait(next && next.dueMs - now);
			return false;
		}
		await this.#calls.probe();
		return true;
	}

	async #end(lease: OwnLease): Promise<boolean> {
		this.#leases.delete(lease);
		try {
			if (lease.id !== null) await this.#calls.revoke(lease.id);
			return lease.id !== null;
		} finally {
			lease.onEnd();
		}
	}

	async #tend(lease: OwnLease, now: number): Promise<true> {
		if (lease.id !== null && !(await this.#calls.keepAlive(lease.id))) {
			this.#logger.warn("the lease in etcd has ended: registering again under a new one", {
				lease: lease.id,
			});
			lease.id = null;
		}
		if (lease.id === null) {
			lease.id = await this.#calls.grant(this.#options.leaseTtlSeconds);
			for (const [key, { lease: owner }] of this.#wanted) if (owner === lease) this.#doubtful.add(key);
		}
		lease.dueMs = lease.revoked ? 0 : now + this.#options.keepAliveMs;
		for (const key of this.#refused) this.#doubtful.add(key);
		return true;
	}

	async #settle(key: string): Promise<true> {
		this.#doubtful.delete(key);
		const waiters = this.#waiting.filter((waiter) => waiter.key === key);
		const wanted = this.#wanted.get(key);
		try {
			if (!wanted) await this.#calls.delete(key);
			else if (!(await this.#calls.put(key, wanted.value, wanted.lease.id!))) {
				wanted.lease.id = null;
				wanted.lease.dueMs = 0;
				this.#doubtful.add(key);
				return true;
			}
			this.#refused.delete(key);
			this.#answer(waiters, (waiter) => waiter.resolve());
		} catch (error) {
			if (DynError.is(error, "UNAVAILABLE")) {
				this.#doubtful.add(key);
				throw error;
			}
			if (!this.#refused.has(key)) this.#logger.warn("etcd refuses a key", { key, error });
			this.#refused.add(key);
			this.#answer(waiters, (waiter) => waiter.reject(error));
		}
		return true;
	}

	/** Nothing is certain any more: what the call did, which leases are left, what the keys are. */
	#fail(error: unknown): void {
		this.#reached = false;
		this.#contact.lost(this, error);
		for (const lease of this.#leases) lease.dueMs = 0;
		for (const key of [...this.#wanted.keys(), ...this.#refused]) this.#doubtful.add(key);
		this.#refused.clear();
		this.#rejectWaiters(error);
	}

	#rejectWaiters(cause: unknown): void {
		this.#answer(this.#waiting, ({ key, reject }) =>
			reject(
				new DynError("UNAVAILABLE", `${key} waits for etcd, and is set when it can be reached`, { cause }),
			),
		);
	}

	#answer(waiters: readonly Waiter[], tell: (waiter: Waiter) => void): void {
		this.#waiting = this.#waiting.filter((waiter) => !waiters.includes(waiter));
		for (const waiter of waiters) tell(waiter);
	}
}
