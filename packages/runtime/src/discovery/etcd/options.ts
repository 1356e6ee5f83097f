// SPDX-License-Identifier: Apache-2.0
import { invalidArgument, type Logger, silentLogger } from "@dyn/common";

/** PEM texts, not file names. Without `ca` the system's authorities are trusted. */
export interface EtcdTls {
	readonly ca?: string | Uint8Array;
	/** Certificate and key of this client, when the server asks for one; both or neither. */
	readonly cert?: string | Uint8Array;
	readonly key?: string | Uint8Array;
}

/** The names in brackets are Dynamo's environment variables for the same thing. */
export interface EtcdStoreOptions {
	/** `http://host:port` or, with TLS, `https://host:port`; all of one cluster (ETCD_ENDPOINTS). Default: http://localhost:2379. */
	readonly endpoints?: readonly string[];
	/** How long keys outlive the last sign of life of their owner, whole seconds (ETCD_LEASE_TTL). Default: 10. */
	readonly leaseTtlSeconds?: number;
	/** ETCD_AUTH_USERNAME and ETCD_AUTH_PASSWORD. */
	readonly auth?: { readonly username: string; readonly password: string };
	/** What is in the files of ETCD_AUTH_CA, ETCD_AUTH_CLIENT_CERT and ETCD_AUTH_CLIENT_KEY. */
	readonly tls?: EtcdTls;
	readonly logger?: Logger;
}

/** Options with their defaults, and the times that follow from them. */
export interface ResolvedOptions {
	readonly endpoints: readonly string[];
	readonly leaseTtlSeconds: number;
	/** Two keepalives may fail before the lease ends, ms. */
	readonly keepAliveMs: number;
	/** After which a call counts as failed, ms: soon enough for another try within the TTL. */
	readonly callTimeoutMs: number;
	readonly auth: EtcdStoreOptions["auth"];
	readonly tls: EtcdTls | undefined;
	readonly logger: Logger;
}

/** @throws DynError INVALID_ARGUMENT */
export function resolveOptions(options: EtcdStoreOptions): ResolvedOptions {
	const { endpoints = ["http://localhost:2379"], leaseTtlSeconds = 10, auth, tls } = options;
	if (endpoints.length === 0)
		throw invalidArgument("endpoints", "etcd needs an endpoint, such as http://localhost:2379");
	const secure = endpoints.filter((endpoint) => endpoint.startsWith("https:")).length;
	if (secure !== 0 && secure !== endpoints.length)
		throw invalidArgument("endpoints", "the endpoints of etcd are either all https or all http");
	if (tls && secure === 0)
		throw invalidArgument("endpoints", "TLS to etcd needs endpoints that begin with https://");
	if ((tls?.cert === undefined) !== (tls?.key === undefined))
		throw invalidArgument("tls", "a client certificate for etcd needs its key, and a key its certificate");
	if (!Number.isInteger(leaseTtlSeconds) || leaseTtlSeconds < 1)
		throw invalidArgument(
			"leaseTtlSeconds",
			`the lease of etcd is ${leaseTtlSeconds} s; whole seconds from 1`,
		);
	const keepAliveMs = (leaseTtlSeconds * 1000) / 3;
	return {
		endpoints,
		leaseTtlSeconds,
		keepAliveMs,
		callTimeoutMs: Math.min(5000, Math.max(1000, keepAliveMs)),
		auth,
		tls,
		logger: options.logger ?? silentLogger,
	};
}
