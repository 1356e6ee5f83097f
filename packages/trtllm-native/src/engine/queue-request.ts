// SPDX-License-Identifier: Apache-2.0
import type { RequestContext } from "@dyn/common";
import type { NamedProcessor } from "@dyn/logits";
import type { GenerateRequest } from "@dyn/protocols";
import type { BlockHasher } from "@dyn/tokens";
import type { AdapterUse } from "../lora/adapters.js";
import type { ResolvedSampling } from "../sampling/resolve-sampling.js";
import { Sequence } from "../scheduler/sequence.js";
import type { ActiveRequest, Cancellation } from "./active-request.js";
import { BestOf } from "./best-of.js";
import { DeltaQueue } from "./delta-queue.js";
import type { GuidedChoice } from "./guided-choice.js";
import { PromptScores } from "./prompt-scores.js";
import type { StepLoop } from "./step-loop.js";
import type { ValidRequest } from "./validate-request.js";
import { watchContext } from "./watch-context.js";

/** What a checked request is made of. */
export interface RequestParts {
	readonly loop: StepLoop;
	readonly hasher: BlockHasher;
	readonly valid: Omit<ValidRequest, "sampling">;
	readonly sampling: ResolvedSampling;
	/** One list per choice. */
	readonly processors: readonly (readonly NamedProcessor[])[];
	/** One per choice, or none. */
	readonly guides: readonly GuidedChoice[];
	/** Released when the request has ended. */
	readonly adapter: AdapterUse | null;
}

/** Hands a request to the loop, a sequence per choice, and returns where its outputs come. */
export function queueRequest(
	request: GenerateRequest,
	context: RequestContext,
	{ loop, hasher, valid, sampling, processors, guides, adapter }: RequestParts,
): DeltaQueue {
	const cancel = (cancellation: Cancellation) => loop.cancel(active, cancellation);
	const abort = () => cancel({ how: "reported" });
	const queue = new DeltaQueue(() => cancel({ how: "silent" }));
	const { bestOf } = sampling;
	const active: ActiveRequest = {
		queue: bestOf === null ? queue : new BestOf(queue, bestOf, request.output.logprobs !== null),
		open: new Set(),
		maxTokens: valid.maxTokens,
		eosTokenIds: new Set(valid.eosTokenIds),
		stopTokenIds: new Set(valid.stopTokenIds),
		visibleStopTokenIds: new Set(valid.visibleStopTokenIds),
		cancellation: null,
		onEnd: () => {
			unwatch();
			adapter?.release();
		},
	};
	let leader: Sequence | undefined;
	for (const [index, own] of processors.entries()) {
		const sequence = new Sequence({
			prompt: request.tokenIds,
			resumed: request.resumedTokens,
			priority: request.routing.priority ?? 0,
			hasher,
			processed: own.length + guides.length > 0,
			adapter: adapter?.id ?? 0,
			...(leader ? { leader } : {}),
		});
		leader ??= sequence;
		const { promptLogprobs: top } = valid;
		active.open.add({
			request: active,
			index,
			sequence,
			params: sampling.params(index),
			processors: own,
			guide: guides[index],
			promptScores: index === 0 && top !== null ? new PromptScores(sequence, top) : undefined,
		});
	}
	const unwatch = watchContext(context, {
		onAbort: abort,
		onDeadline: (error) => cancel({ how: "failed", error }),
	});
	loop.add(active);
	if (context.signal.aborted) abort();
	return queue;
}
