// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { DynError, type Logger } from "@dyn/common";
import type { Authenticator } from "@nats-io/transport-node";
import type { NatsTls } from "./nats-tls.js";

/** How a process reaches NATS. */
export interface NatsOptions {
	/**
	 * `nats://host:port` of one or more servers of a cluster, with `user:password@` or `token@` before the host if `auth`
	 * does not say it. Default `nats://localhost:4222`.
	 */
	readonly servers?: readonly string[];
	/** Default: what the first server's URL says, else none. */
	readonly auth?: NatsAuth;
	/** With it, or a `tls://` server, a server without TLS is refused. Default: TLS when the server offers it. */
	readonly tls?: NatsTls;
	/** Time for a server to take the connection. Default 5,000. */
	readonly connectTimeoutMs?: number;
	/** Time for a server or a worker to answer. Default 10,000. */
	readonly requestTimeoutMs?: number;
	readonly logger?: Logger;
}

/** Who this process is to NATS: one of the ways that Dynamo's NATS_AUTH_* variables know. */
export type NatsAuth =
	| { readonly user: string; readonly password: string }
	| { readonly token: string }
	/** Seed of an nkey, beginning with SU. */
	| { readonly nkey: string }
	/** Path of a file with a JWT and a seed, as `nsc` writes it. */
	| { readonly credentialsFile: string };

/** What of the NATS library makes authenticators. */
export interface AuthenticatorFactories {
	usernamePasswordAuthenticator(user: string, password: string): Authenticator;
	tokenAuthenticator(token: string): Authenticator;
	nkeyAuthenticator(seed: Uint8Array): Authenticator;
	credsAuthenticator(credentials: Uint8Array): Authenticator;
}

/** @throws DynError INVALID_ARGUMENT when the seed is none, or the credentials file cannot be read */
export async function createAuthenticator(
	auth: NatsAuth,
	factories: AuthenticatorFactories,
): Promise<Authenticator> {
	if ("user" in auth) return factories.usernamePasswordAuthenticator(auth.user, auth.password);
	if ("token" in auth) return factories.tokenAuthenticator(auth.token);
	try {
		const authenticator =
			"nkey" in auth
				? factories.nkeyAuthenticator(new TextEncoder().encode(auth.nkey))
				: factories.credsAuthenticator(await readFile(auth.credentialsFile));
		authenticator("nonce"); // one that cannot sign would only throw inside the library, in the middle of connecting
		return authenticator;
	} catch (cause) {
		const what = "nkey" in auth ? "the NATS nkey seed" : `the NATS credentials file ${auth.credentialsFile}`;
		throw new DynError(
			"INVALID_ARGUMENT",
			`${what} cannot be used: ${(cause as Error).message}; give what nsc or nk generated`,
			{ cause },
		);
	}
}

/**
 * The servers without credentials, fit for messages, the credentials of the first, and whether TLS is wanted.
 * @throws DynError INVALID_ARGUMENT
 */
export function parseServers(servers: readonly string[]): {
	readonly urls: readonly string[];
	/** Without port and brackets. */
	readonly hosts: readonly string[];
	readonly auth: NatsAuth | undefined;
	/** Whether one of them begins with `tls://`. */
	readonly wantTls: boolean;
} {
	const parsed = servers.map((server, index) => {
		try {
			return parseServer(server.trim());
		} catch {
			// Neither the text nor the cause is repeated: they may hold a password.
			throw new DynError(
				"INVALID_ARGUMENT",
				`NATS server ${index + 1} of ${servers.length} is no URL of the form nats://host:port`,
			);
		}
	});
	return {
		urls: parsed.map(({ url }) => url),
		hosts: parsed.map(({ host }) => host),
		auth: parsed[0]?.auth,
		wantTls: parsed.some(({ wantTls }) => wantTls),
	};
}

/** @throws Error */
function parseServer(text: string) {
	const { protocol, host, hostname, username, password } = new URL(
		text.includes("://") ? text : `nats://${text}`,
	);
	if (host === "") throw new Error("no host");
	const user = decodeURIComponent(username);
	const auth: NatsAuth = password === "" ? { token: user } : { user, password: decodeURIComponent(password) };
	return {
		url: `nats://${host}`,
		host: hostname.replace(/^\[|\]$/g, ""),
		auth: user === "" ? undefined : auth,
		wantTls: protocol === "tls:",
	};
}

/** What a refused client should look at. */
export function describeAuth(auth: NatsAuth | undefined): string {
	if (!auth) return "it wants authentication: give user and password, a token, an nkey or a credentials file";
	if ("user" in auth) return `check the user ${JSON.stringify(auth.user)} and its password`;
	if ("token" in auth) return "check the token";
	if ("nkey" in auth) return "check that the server knows the public key of this nkey";
	return `check that ${auth.credentialsFile} is current and of an account that the server knows`;
}
