// SPDX-License-Identifier: Apache-2.0
import type { CallOptionsFactory, Etcd3 } from "etcd3";
import type { EtcdStoreOptions } from "./options.js";

type CallOptions = Exclude<CallOptionsFactory, (...args: never[]) => unknown>;
export type Interceptors = NonNullable<CallOptions["interceptors"]>;

/** etcd forgets tokens when it restarts, lets them run out, and with signed tokens ends them when any user changes. */
const OUTDATED = ["etcdserver: invalid auth token", "etcdserver: revision of auth store is old"];

/**
 * Logs in with user and password, and again when etcd does not take the token any more. etcd3's own login is not used: it opens
 * a connection per attempt and closes none.
 */
export class Login {
	readonly #auth: EtcdStoreOptions["auth"];
	/** Goes with every call. Empty before the login and after etcd refused it. */
	#token = "";

	constructor(auth: EtcdStoreOptions["auth"]) {
		this.#auth = auth;
	}

	/** For the options of every call: adds the token, and drops it when the answer says that it is outdated. */
	readonly interceptors: Interceptors = [
		(options, nextCall) => {
			const call = nextCall(options) as ReturnType<Interceptors[number]>;
			const start = call.start.bind(call);
			call.start = (metadata, listener) => {
				const token = this.#token;
				if (token !== "") metadata.set("token", token);
				start(metadata, {
					...listener,
					onReceiveStatus: (status) => {
						const outdated = OUTDATED.some((refusal) => status.details.includes(refusal));
						if (outdated && this.#token === token) this.#token = "";
						listener?.onReceiveStatus?.(status);
					},
				});
			};
			return call;
		},
	];

	/** Makes a call as the user. */
	async as<T>(client: Etcd3, call: (client: Etcd3) => Promise<T>): Promise<T> {
		if (!this.#auth) return call(client);
		if (this.#token === "") await this.#renew(client, this.#auth);
		try {
			return await call(client);
		} catch (error) {
			if (this.#token !== "") throw error;
			await this.#renew(client, this.#auth);
			return call(client);
		}
	}

	async #renew(client: Etcd3, { username, password }: NonNullable<EtcdStoreOptions["auth"]>): Promise<void> {
		const { token } = await client.auth.authenticate({ name: username, password });
		this.#token = token;
	}
}
