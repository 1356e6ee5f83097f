// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Etcd3 } from "etcd3";
import { etcdError } from "./etcd-error.js";
import { createEtcd3, type Etcd3Module, loadEtcd3 } from "./load-etcd3.js";
import { Login } from "./login.js";
import type { ResolvedOptions } from "./options.js";

export interface WatchObserver {
	/** Changes come from now on. */
	live(): void;
	put(key: string, value: string): void;
	/** @param leaseId of the value that the key had; "0" for none */
	gone(key: string, leaseId: string): void;
}

/** Any key that a user may be allowed to read. */
const PROBED_KEY = "v1/instances/";

/**
 * The calls that discovery makes. Each fails within `callTimeoutMs` per endpoint, with a DynError: UNAVAILABLE when etcd cannot
 * be reached or has no leader, UNAUTHENTICATED, INVALID_ARGUMENT or INTERNAL when it refuses. An endpoint that fails gives way to the next.
 *
 * etcd3's own leases and watchers are not used: they measure liveness by the wall clock, resume watches by revision only and
 * throw where nobody can catch.
 */
export class EtcdCalls {
	readonly #etcd3: Etcd3Module;
	readonly #options: ResolvedOptions;
	readonly #login: Login;
	readonly #clients: readonly Etcd3[];
	#current = 0;

	private constructor(etcd3: Etcd3Module, options: ResolvedOptions) {
		this.#etcd3 = etcd3;
		this.#options = options;
		this.#login = new Login(options.auth);
		this.#clients = options.endpoints.map((endpoint) =>
			createEtcd3(etcd3, endpoint, options, this.#login.interceptors),
		);
	}

	/** Loads etcd3; connects with the first call. */
	static async connect(options: ResolvedOptions): Promise<EtcdCalls> {
		return new EtcdCalls(await loadEtcd3(), options);
	}

	/** Whether etcd answers. */
	async probe(): Promise<void> {
		await this.#call("asking for it", ({ kv }) =>
			kv.range({ key: Buffer.from(PROBED_KEY), count_only: true }),
		);
	}

	/** @returns the new lease's id */
	async grant(ttlSeconds: number): Promise<string> {
		const { ID } = await this.#call("granting a lease", ({ leaseClient }) =>
			leaseClient.leaseGrant({ TTL: ttlSeconds }),
		);
		return ID;
	}

	/** @returns false when there is no such lease any more */
	keepAlive(leaseId: string): Promise<boolean> {
		return this.#call("keeping a lease alive", async ({ leaseClient }) => {
			const stream = await leaseClient.leaseKeepAlive({ deadline: Date.now() + this.#options.callTimeoutMs });
			try {
				return await new Promise<boolean>((resolve, reject) => {
					stream.on("data", ({ TTL }) => resolve(TTL !== "0"));
					stream.on("error", reject);
					stream.on("end", () => reject(new this.#etcd3.GRPCUnavailableError("the stream ended")));
					stream.write({ ID: leaseId });
				});
			} finally {
				stream.end();
			}
		});
	}

	/** Whether there is such a lease; "0", which is none, counts as one that never ends. */
	async leaseLives(leaseId: string): Promise<boolean> {
		if (leaseId === "0") return true;
		const { TTL } = await this.#call("asking for a lease", ({ leaseClient }) =>
			leaseClient.leaseTimeToLive({ ID: leaseId }),
		);
		return BigInt(TTL) > 0n;
	}

	/** Ends a lease, and with it its keys. One that is gone already is fine. */
	async revoke(leaseId: string): Promise<void> {
		await this.#call("revoking a lease", async ({ leaseClient }) => {
			try {
				await leaseClient.leaseRevoke({ ID: leaseId });
			} catch (error) {
				if (!(error instanceof this.#etcd3.EtcdLeaseInvalidError)) throw error;
			}
		});
	}

	/**
	 * Makes a key have a value under a lease; when it does already, nobody hears of it.
	 * @returns false when there is no such lease any more
	 */
	put(key: string, value: string, leaseId: string): Promise<boolean> {
		const entry = { key: Buffer.from(key), value: Buffer.from(value), lease: leaseId };
		return this.#call(`putting ${key}`, async ({ kv }) => {
			try {
				const [present] = (await kv.range({ key: entry.key })).kvs;
				if (present?.lease !== leaseId || !present.value.equals(entry.value)) await kv.put(entry);
				return true;
			} catch (error) {
				if (error instanceof this.#etcd3.EtcdLeaseInvalidError) return false;
				throw error;
			}
		});
	}

	async delete(key: string): Promise<void> {
		await this.#call(`deleting ${key}`, ({ kv }) => kv.deleteRange({ key: Buffer.from(key) }));
	}

	/** Everything under a prefix, as of `revision`. */
	async list(prefix: string): Promise<{ entries: Map<string, string>; revision: bigint }> {
		const { start, end } = this.#etcd3.Range.prefix(prefix);
		const { kvs, header } = await this.#call(`listing ${prefix}`, ({ kv }) =>
			kv.range({ key: start, range_end: end }),
		);
		return {
			entries: new Map(kvs.map(({ key, value }) => [key.toString(), value.toString()])),
			revision: BigInt(header.revision),
		};
	}

	/** Reports what changes under a prefix after `revision`, until the connection breaks or `signal` aborts: then it throws. */
	follow(prefix: string, revision: bigint, signal: AbortSignal, observer: WatchObserver): Promise<never> {
		const { start, end } = this.#etcd3.Range.prefix(prefix);
		return this.#callOnce(`watching ${prefix}`, async ({ watchClient }) => {
			const stream = await watchClient.watch();
			let timer: NodeJS.Timeout | undefined;
			let abort = () => {};
			try {
				return await new Promise<never>((_resolve, reject) => {
					const fail = (why: string) => reject(new this.#etcd3.GRPCUnavailableError(why));
					abort = () => reject(new Error("aborted"));
					signal.addEventListener("abort", abort, { once: true });
					if (signal.aborted) abort();
					timer = setTimeout(() => fail("no answer in time"), this.#options.callTimeoutMs);
					stream.on("error", reject);
					stream.on("end", () => fail("the stream ended"));
					stream.on("data", ({ created, canceled, cancel_reason, compact_revision, events }) => {
						if (canceled) {
							const why = cancel_reason || `compacted at revision ${compact_revision}`;
							return reject(this.#etcd3.castGrpcErrorMessage(why));
						}
						if (created) {
							clearTimeout(timer);
							observer.live();
						}
						for (const { type, kv, prev_kv } of events) {
							const key = kv.key.toString();
							if (type === "Put") observer.put(key, kv.value.toString());
							else observer.gone(key, prev_kv?.lease ?? "0");
						}
					});
					const first = (revision + 1n).toString();
					stream.write({
						create_request: { key: start, range_end: end, start_revision: first, prev_kv: true },
					});
				});
			} finally {
				clearTimeout(timer);
				signal.removeEventListener("abort", abort);
				stream.end(); // before cancel, else etcd3 takes it for a failure and drops its connections
				stream.cancel();
			}
		});
	}

	close(): void {
		for (const client of this.#clients) client.close();
	}

	/** At the current endpoint, and when that cannot be reached at the others. */
	async #call<T>(doing: string, call: (client: Etcd3) => Promise<T>): Promise<T> {
		for (let others = this.#clients.length - 1; ; others--) {
			try {
				return await this.#callOnce(doing, call);
			} catch (error) {
				if (others === 0 || !DynError.is(error, "UNAVAILABLE")) throw error;
			}
		}
	}

	/** At the current endpoint; one that cannot be reached gives way to the next. */
	async #callOnce<T>(doing: string, call: (client: Etcd3) => Promise<T>): Promise<T> {
		const index = this.#current;
		try {
			return await this.#login.as(this.#clients[index]!, call);
		} catch (error) {
			const failure = etcdError(this.#etcd3, error, this.#options.endpoints[index]!, doing);
			if (failure.code === "UNAVAILABLE" && this.#current === index)
				this.#current = (index + 1) % this.#clients.length;
			throw failure;
		}
	}
}
