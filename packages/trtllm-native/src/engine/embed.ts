// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type RequestContext } from "@dyn/common";
import type { EmbedOutput, EmbedRequest } from "@dyn/protocols";
import type { BlockHasher } from "@dyn/tokens";
import { GREEDY } from "../sampling/greedy.js";
import { Sequence } from "../scheduler/sequence.js";
import type { ActiveRequest, Choice } from "./active-request.js";
import { Pooler, type Pooling } from "./pooler.js";
import type { StepLoop } from "./step-loop.js";
import { watchContext } from "./watch-context.js";

export interface EmbedTools {
	readonly loop: StepLoop;
	readonly hasher: BlockHasher;
	readonly pooling: Pooling;
}

/**
 * Computes a checked request: each input is a sequence like any other, so it shares steps with whatever else runs.
 * @throws DynError CANCELLED when the context is aborted, DEADLINE_EXCEEDED, UNAVAILABLE when the engine dies
 */
export function embed(
	{ inputs, dimensions }: EmbedRequest,
	context: RequestContext,
	{ loop, hasher, pooling }: EmbedTools,
): Promise<EmbedOutput> {
	return new Promise((resolve, reject) => {
		const poolers = inputs.map(() => new Pooler(pooling));
		const fail = (error: DynError) => loop.cancel(active, { how: "failed", error });
		const abort = () => fail(cancellationError(context.signal));
		const open = new Set<Choice>();
		const active: ActiveRequest = {
			queue: {
				push: () => reject(new DynError("CANCELLED", "the engine was closed")),
				fail: reject,
				end: () =>
					resolve({
						embeddings: poolers.map((pooler) => pooler.vector(dimensions ?? undefined)),
						promptTokens: inputs.reduce((sum, input) => sum + input.length, 0),
					}),
			},
			open,
			maxTokens: 1,
			eosTokenIds: new Set(),
			stopTokenIds: new Set(),
			visibleStopTokenIds: new Set(),
			cancellation: null,
			onEnd: () => unwatch(),
		};
		for (const [index, prompt] of inputs.entries()) {
			const hidden = pooling === "mean" ? "all" : "last";
			const sequence = new Sequence({ prompt, priority: 0, hasher, processed: false, hidden });
			open.add({
				request: active,
				index,
				sequence,
				params: GREEDY /* of which nothing is used: no token is chosen */,
				processors: [],
				pooler: poolers[index]!,
			});
		}
		const unwatch = watchContext(context, { onAbort: abort, onDeadline: fail });
		loop.add(active);
		if (context.signal.aborted) abort();
	});
}
