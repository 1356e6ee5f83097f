// SPDX-License-Identifier: Apache-2.0
// What the grammar thread runs: nothing but a host behind messages. Started by grammar/grammar-thread.ts.
import { parentPort, workerData } from "node:worker_threads";
import { GrammarError } from "./grammar/grammar-error.js";
import { GrammarHost } from "./grammar/grammar-host.js";
import type { ThreadAnswer, ThreadRequest } from "./grammar/thread-messages.js";
import type { Vocabulary } from "./grammar/vocabulary.js";

const host = new GrammarHost((workerData as { readonly vocabulary: Vocabulary }).vocabulary);
const answer = (message: ThreadAnswer): void => parentPort?.postMessage(message);

parentPort?.on("message", (request: ThreadRequest) => {
	if (request.kind === "close") {
		host.close(request.id);
		return;
	}
	try {
		const next =
			request.kind === "open"
				? host.open(request.id, request.guide, request.tokens)
				: host.advance(request.id, request.tokenId);
		answer({ kind: "next", next });
	} catch (error) {
		const { message } = error as Error;
		answer({ kind: "failed", message, fault: error instanceof GrammarError });
	}
});
answer({ kind: "ready" });
