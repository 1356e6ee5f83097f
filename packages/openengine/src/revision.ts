// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { ServerInfo } from "./generated/messages.js";

/** Revision of the schema that this package speaks. */
export const SCHEMA_REVISION = 1;
/** Oldest client that our server takes. */
export const MINIMUM_CLIENT_REVISION = 1;
/** The release that revision 1 was taken from: OpenEngine v0.1.0's commit in the Buf registry. */
export const SCHEMA_RELEASE = "768a93c7b44e40f28c692ad0b471a8f2";

/** Server revisions that were tried with this client. */
const TESTED = { oldest: 1, newest: 1 } as const;

/**
 * Refuses a server that might mean something else by the same bytes.
 * @param release the `schema_release` that the server must have, if any
 * @throws DynError UNIMPLEMENTED
 */
export function checkRevision(info: ServerInfo, release?: string): void {
	const { schemaRevision, minimumClientRevision, schemaRelease } = info;
	const name = info.engineName || "the engine";
	const refuse = (why: string): never => {
		throw new DynError("UNIMPLEMENTED", `${name} ${why}`);
	};
	if (schemaRevision === 0)
		refuse("names no schema revision; it is no OpenEngine v0.1.0 server: use another version of it");
	if (minimumClientRevision > SCHEMA_REVISION)
		refuse(
			`takes clients from schema revision ${minimumClientRevision} on and this one has ${SCHEMA_REVISION}; update this package`,
		);
	if (schemaRevision < TESTED.oldest || schemaRevision > TESTED.newest)
		refuse(
			`has schema revision ${schemaRevision}; this client was tested with ${TESTED.oldest} to ${TESTED.newest}: use a matching version`,
		);
	if (release !== undefined && schemaRelease !== release)
		refuse(
			`has schema release ${JSON.stringify(schemaRelease)} and not the expected ${JSON.stringify(release)}`,
		);
}
