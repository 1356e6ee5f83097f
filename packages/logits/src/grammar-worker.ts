// SPDX-License-Identifier: Apache-2.0
// What the grammar thread runs: nothing but a host behind messages. Started by grammar/grammar-thread.ts; an entry of the
// package because it has to be a file of its own, and of no use to anybody else.
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { GrammarError } from "./grammar/grammar-error.js";
import { GrammarHost } from "./grammar/grammar-host.js";
import type { ThreadAnswer, ThreadRequest } from "./grammar/thread-messages.js";
import type { Vocabulary } from "./grammar/vocabulary.js";

/** Answers requests for masks of `vocabulary` that come over `port`. */
export function serveGrammars(port: MessagePort, vocabulary: Vocabulary): void {
	const host = new GrammarHost(vocabulary);
	const answer = (message: ThreadAnswer): void => port.postMessage(message);
	port.on("message", (request: ThreadRequest) => {
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
}

// On the main thread there is nothing to serve.
if (parentPort) serveGrammars(parentPort, (workerData as { readonly vocabulary: Vocabulary }).vocabulary);
