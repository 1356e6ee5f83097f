// SPDX-License-Identifier: Apache-2.0
import { createHash, timingSafeEqual } from "node:crypto";
import { DynError } from "@dyn/common";

const digest = (text: string) => createHash("sha256").update(text).digest();

/**
 * A check of the Authorization header. Every key is compared in full, so timing tells nothing.
 * @returns a function that throws DynError UNAUTHENTICATED
 */
export function createApiKeyCheck(keys: readonly string[]): (authorization: string | undefined) => void {
	const digests = keys.map(digest);
	return (authorization) => {
		if (digests.length === 0) return;
		const given = digest(/^Bearer (.+)$/i.exec(authorization ?? "")?.[1] ?? "");
		let matches = false;
		for (const known of digests) if (timingSafeEqual(known, given)) matches = true;
		if (!matches)
			throw new DynError(
				"UNAUTHENTICATED",
				"the API key is missing or wrong; send Authorization: Bearer <key>",
			);
	};
}
