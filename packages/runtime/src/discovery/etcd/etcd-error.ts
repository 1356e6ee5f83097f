// SPDX-License-Identifier: Apache-2.0
import { DynError, type ErrorCode } from "@dyn/common";
import type { Etcd3Module } from "./load-etcd3.js";

/** Refusals that etcd3 has no class for (texts of etcd 3.4 and later). */
const ACCESS_REFUSED = [
	"etcdserver: user name is empty",
	"etcdserver: authentication is not enabled",
	"etcdserver: revision of auth store is old",
];

/** What a call's failure means: etcd is away (UNAVAILABLE), does not let this user (UNAUTHENTICATED), or refuses the call. */
export function etcdError(etcd3: Etcd3Module, thrown: unknown, endpoint: string, doing: string): DynError {
	const cause = etcd3.castGrpcError(thrown instanceof Error ? thrown : new Error(String(thrown)));
	const is = (...kinds: readonly (abstract new (...args: never[]) => Error)[]) =>
		kinds.some((kind) => cause instanceof kind);
	const failure = (code: ErrorCode, remedy: string) =>
		new DynError(code, `etcd at ${endpoint}, ${doing}: ${cause.message}; ${remedy}`, { cause });
	const accessRefused =
		is(
			etcd3.EtcdAuthenticationFailedError,
			etcd3.EtcdInvalidAuthTokenError,
			etcd3.EtcdPermissionDeniedError,
			etcd3.GRPCUnauthenticatedError,
		) || ACCESS_REFUSED.some((refusal) => cause.message.includes(refusal));
	if (accessRefused) return failure("UNAUTHENTICATED", "check the user, the password and the user's roles");
	if (is(etcd3.GRPCInvalidArgumentError)) return failure("INVALID_ARGUMENT", "see the limits of etcd");
	const full = is(etcd3.GRPCResourceExhastedError);
	if (is(etcd3.ClientClosedError) || (etcd3.isRecoverableError(cause) && !full))
		return failure("UNAVAILABLE", "check that it runs and that its address is right");
	return failure("INTERNAL", "see etcd's log");
}
