// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from "node:http";
import { DynError } from "@dyn/common";

/** Headers of which Node silently takes the first when there are several; a proxy in front may have judged by the last. */
const ONCE = ["host", "authorization", "content-type"];

/** @throws DynError INVALID_ARGUMENT when a header that decides something was sent twice */
export function checkHeaders({ rawHeaders }: IncomingMessage): void {
	const seen = new Set<string>();
	for (let i = 0; i < rawHeaders.length; i += 2) {
		const name = rawHeaders[i]!.toLowerCase();
		if (!ONCE.includes(name)) continue;
		if (seen.has(name))
			throw new DynError("INVALID_ARGUMENT", `the header ${name} was sent twice; send it once`);
		seen.add(name);
	}
}
