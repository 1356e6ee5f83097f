// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from "node:crypto";
import { checkServerIdentity, createSecureContext, type PeerCertificate } from "node:tls";
import { DynError } from "@dyn/common";
import type { TlsOptions } from "@nats-io/transport-node";

/** PEM texts. */
export interface NatsTls {
	/** Authority that the server's certificate must be of. Default: those that Node.js trusts. */
	readonly ca?: string;
	/** Certificate of this client and its key, both or none, for servers that verify clients. */
	readonly cert?: string;
	readonly key?: string;
	/** Accept any certificate of the server. For tests. Default false. */
	readonly insecure?: boolean;
}

/**
 * In the words of the NATS library, which hands what it does not know on to Node.
 * @param hosts of the servers that were named
 * @throws DynError INVALID_ARGUMENT when a text is no PEM, or one of certificate and key is missing
 */
export function libraryTls(
	{ ca, cert, key, insecure = false }: NatsTls,
	hosts: readonly string[],
): TlsOptions {
	if ((cert === undefined) !== (key === undefined))
		throw new DynError(
			"INVALID_ARGUMENT",
			"a client certificate for NATS needs its key, and a key its certificate",
		);
	const texts = {
		...(ca === undefined ? {} : { ca }),
		...(cert === undefined ? {} : { cert }),
		...(key === undefined ? {} : { key }),
	};
	try {
		if (ca !== undefined) new X509Certificate(ca); // else Node passes over what is none
		createSecureContext(texts);
	} catch (cause) {
		throw new DynError(
			"INVALID_ARGUMENT",
			`the certificates for NATS cannot be used: ${(cause as Error).message}; give PEM files that belong together`,
			{ cause },
		);
	}
	return {
		...texts,
		rejectUnauthorized: !insecure,
		checkServerIdentity: (name: string, certificate: PeerCertificate) => {
			// Of a server that was named by its address the library tells Node nothing, and Node assumes localhost.
			const names = name === "localhost" ? hosts : [name];
			const mismatches = names.map((each) => checkServerIdentity(each, certificate));
			return mismatches.includes(undefined) ? undefined : mismatches[0];
		},
	} as TlsOptions;
}

/** What is wrong with the server's side of TLS; null when `error` is about something else. */
export function describeTlsError(error: Error): string | null {
	const { code = "", message } = error as NodeJS.ErrnoException;
	if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
		return `its certificate is for another name (${message}); address it as its certificate says`;
	if (DISTRUSTED.test(code))
		return `its certificate is not trusted (${message}); give the authority that issued it`;
	if (message.includes("does not support 'tls'"))
		return "it does not offer TLS; configure TLS there, or connect without";
	return null;
}

/** OpenSSL's names for what may be wrong with a certificate. */
const DISTRUSTED =
	/^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_(HAS_EXPIRED|NOT_YET_VALID|UNTRUSTED|REVOKED))/;
