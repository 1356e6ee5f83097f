// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { DynError, type Logger } from "@dyn/common";
import type { Authenticator } from "@nats-io/transport-node";

/** How a process reaches NATS. */
export interface NatsOptions {
	/** `nats://host:port` of one or more servers of a cluster. TLS is used when they offer it. Default `nats://localhost:4222`. */
	readonly servers?: readonly string[];
	/** Default: none. */
	readonly auth?: NatsAuth;
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

/** What a refused client should look at. */
export function describeAuth(auth: NatsAuth | undefined): string {
	if (!auth) return "it wants authentication: give user and password, a token, an nkey or a credentials file";
	if ("user" in auth) return `check the user ${JSON.stringify(auth.user)} and its password`;
	if ("token" in auth) return "check the token";
	if ("nkey" in auth) return "check that the server knows the public key of this nkey";
	return `check that ${auth.credentialsFile} is current and of an account that the server knows`;
}
