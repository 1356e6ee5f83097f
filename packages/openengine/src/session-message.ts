// SPDX-License-Identifier: Apache-2.0
import type { KvSession } from "@dyn/protocols";
import type { KvSessionRef } from "./generated/messages.js";

/** A handoff as it came, attribute for attribute: a decode engine may refuse one that was changed on its way. */
export function fromSessionMessage({ attributesStruct, ...session }: KvSessionRef): KvSession {
	return { ...session, attributes: attributesStruct ?? {} };
}

export function toSessionMessage(session: KvSession): KvSessionRef {
	const { sessionId, transferBackend, endpoints, dpRank, attributes } = session;
	return { sessionId, transferBackend, endpoints, dpRank, attributesStruct: attributes };
}
