// SPDX-License-Identifier: Apache-2.0
import { DynError, silentLogger } from "@dyn/common";
import { LibraryNatsLink } from "./library-nats-link.js";
import type { NatsLink } from "./nats-link.js";
import { createAuthenticator, describeAuth, type NatsOptions, parseServers } from "./nats-options.js";
import { describeTlsError, libraryTls, type NatsTls } from "./nats-tls.js";
import { wantsCertificate } from "./wants-certificate.js";

const PACKAGE = "@nats-io/transport-node";
/** How often the server is asked whether it lives; it is taken for gone after two questions without an answer. */
const PING_INTERVAL_MS = 3000;

/**
 * Connects a process to NATS. Once connected, the link survives every outage; the first connection has to succeed, so
 * that a wrong address or password shows at once.
 * @throws DynError UNAVAILABLE when no server answers, UNAUTHENTICATED when it refuses or is not to be trusted, INVALID_ARGUMENT for unusable
 * credentials, UNIMPLEMENTED when the NATS library is not installed
 */
export async function connectNats(options: NatsOptions = {}): Promise<NatsLink> {
	const library = await loadLibrary();
	const { connectTimeoutMs = 5000, requestTimeoutMs = 10_000, logger = silentLogger } = options;
	const servers = parseServers(options.servers ?? ["nats://localhost:4222"]);
	const auth = options.auth ?? servers.auth;
	const tls = options.tls ?? (servers.wantTls ? {} : null);
	const libraryOptions = tls ? { tls: libraryTls(tls, servers.hosts) } : {};
	const where = servers.urls.join(", ");
	let awaySince: number | null = null;
	try {
		const connection = await library.connect({
			name: "dyn",
			servers: [...servers.urls],
			timeout: connectTimeoutMs,
			pingInterval: PING_INTERVAL_MS,
			maxReconnectAttempts: -1,
			ignoreAuthErrorAbort: true,
			noAsyncTraces: true,
			reconnectDelayHandler: () =>
				reconnectDelayMs(awaySince === null ? 0 : performance.now() - awaySince, Math.random()),
			...libraryOptions,
			...(auth ? { authenticator: await createAuthenticator(auth, library) } : {}),
		});
		const link = new LibraryNatsLink({
			connection,
			library,
			where,
			requestTimeoutMs,
			logger,
		});
		link.onChange((connected) => {
			awaySince = connected ? null : performance.now();
		});
		return link;
	} catch (error) {
		if (DynError.is(error)) throw error;
		const cause = error as Error;
		const { AuthorizationError, UserAuthenticationExpiredError } = library.errors;
		if (cause instanceof AuthorizationError || cause instanceof UserAuthenticationExpiredError)
			throw new DynError("UNAUTHENTICATED", `NATS at ${where} refuses this process: ${describeAuth(auth)}`, {
				cause,
			});
		const untrusted = describeTlsError(cause) ?? (await describeRefusedCertificate(servers.urls[0]!, tls));
		if (untrusted)
			throw new DynError("UNAUTHENTICATED", `NATS at ${where} cannot be used: ${untrusted}`, { cause });
		throw new DynError(
			"UNAVAILABLE",
			`NATS at ${where} cannot be reached: ${cause.message}; start nats-server or correct the address`,
			{ cause },
		);
	}
}

/** What is wrong with this side of TLS, or null. */
async function describeRefusedCertificate(url: string, tls: NatsTls | null): Promise<string | null> {
	if (!(await wantsCertificate(url))) return null;
	return tls?.cert === undefined
		? "it asks for a client certificate, and this process has none; give a certificate and its key"
		: "it does not accept the client certificate of this process; give one of an authority that it trusts";
}

/** Time between two attempts: short at first, longer the longer NATS is away, and never the same for all its clients. */
export function reconnectDelayMs(awayMs: number, random: number): number {
	return Math.min(2000, Math.max(100, awayMs / 10)) * (1 + random / 2);
}

async function loadLibrary(): Promise<typeof import("@nats-io/transport-node")> {
	try {
		return await import("@nats-io/transport-node");
	} catch (cause) {
		if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
		throw new DynError("UNIMPLEMENTED", `NATS needs the package ${PACKAGE}: npm install ${PACKAGE}`, {
			cause,
		});
	}
}
