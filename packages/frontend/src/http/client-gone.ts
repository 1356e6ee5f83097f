// SPDX-License-Identifier: Apache-2.0
import type { ServerResponse } from "node:http";
import { DynError } from "@dyn/common";

/** One for all: thousands of clients may leave at once, and a stack each would take longer than the rest of it. */
const CLIENT_LEFT = new DynError("CANCELLED", "the client went away");

/** Aborts when the client leaves before its answer has ended. */
export function abortedByClient(response: ServerResponse): AbortController {
	const gone = new AbortController();
	// Not the request's "close": that one fires when its body has been read.
	response.on("close", () => {
		if (!response.writableEnded) gone.abort(CLIENT_LEFT);
	});
	return gone;
}
