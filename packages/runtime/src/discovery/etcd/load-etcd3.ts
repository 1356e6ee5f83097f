// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { Etcd3, IOptions } from "etcd3";
import type { Interceptors } from "./login.js";
import type { ResolvedOptions } from "./options.js";

export type Etcd3Module = typeof import("etcd3");
type FaultHandling = NonNullable<IOptions["faultHandling"]>;

/** Calls go straight through: etcd3's own retries and circuit breakers keep a server out for seconds after it is back. */
const straight = { execute: async (call: () => unknown) => call() } as unknown as NonNullable<
	FaultHandling["global"]
>;

const GRPC_OPTIONS = {
	"grpc.initial_reconnect_backoff_ms": 100,
	"grpc.min_reconnect_backoff_ms": 100,
	"grpc.max_reconnect_backoff_ms": 1000,
	// A connection that is gone without a word is noticed. etcd hangs up on clients that ping more often than every 5 s.
	"grpc.keepalive_time_ms": 10_000,
	"grpc.keepalive_timeout_ms": 5000,
	// A list of many model cards is longer than gRPC's default of 4 MiB.
	"grpc.max_receive_message_length": -1,
};

/** @throws DynError UNIMPLEMENTED when the package is not installed */
export async function loadEtcd3(): Promise<Etcd3Module> {
	try {
		return await import("etcd3");
	} catch (error) {
		if ((error as { code?: unknown }).code !== "ERR_MODULE_NOT_FOUND") throw error;
		throw new DynError("UNIMPLEMENTED", "discovery over etcd needs the package etcd3: npm install etcd3", {
			cause: error,
		});
	}
}

/** A client of one endpoint. */
export function createEtcd3(
	etcd3: Etcd3Module,
	endpoint: string,
	options: ResolvedOptions,
	interceptors: Interceptors,
): Etcd3 {
	const { tls, callTimeoutMs } = options;
	const bytes = (pem: string | Uint8Array | undefined) => (pem === undefined ? undefined : Buffer.from(pem));
	return new etcd3.Etcd3({
		hosts: [endpoint],
		grpcOptions: GRPC_OPTIONS,
		faultHandling: { host: () => straight, global: straight },
		// gRPC turns the deadline into a duration at once, so the clock on the wall may be set meanwhile.
		defaultCallOptions: ({ isStream }) => ({
			interceptors,
			...(isStream ? {} : { deadline: Date.now() + callTimeoutMs }),
		}),
		...(tls && { credentials: credentials(bytes(tls.ca), bytes(tls.key), bytes(tls.cert)) }),
	});
}

/** gRPC takes undefined parts, etcd3's types do not say so. */
function credentials(
	rootCertificate: Buffer | undefined,
	privateKey: Buffer | undefined,
	certChain: Buffer | undefined,
): NonNullable<IOptions["credentials"]> {
	return { rootCertificate, privateKey, certChain } as NonNullable<IOptions["credentials"]>;
}
