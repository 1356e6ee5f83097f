// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import { attempt, type Patience } from "./attempt.js";
import type { AttemptSpan } from "./attempt-spans.js";
import type { Candidate } from "./candidates.js";
import type { Progress } from "./progress.js";

/**
 * One attempt at a request: what one instance adds to its `progress`, and a span about it.
 * @throws DynError what the instance failed with; DRAINING when it gave up by itself, DISCONNECTED when it ended early
 */
export async function* work(
	{ served, instance }: Candidate,
	request: GenerateRequest,
	progress: Progress,
	context: RequestContext,
	patience: Patience,
	span: AttemptSpan,
): AsyncGenerator<EngineOutput, void> {
	const pulse = served.pulses.begin(instance.id);
	const onStall = (silentMs: number) =>
		silentMs < patience.stallMs && pulse.excuses(silentMs) ? null : patience.onStall(silentMs);
	try {
		const call = (signal: AbortSignal) =>
			served.client.call(instance, request, { ...context, trace: span.trace, signal });
		for await (const output of attempt(call, context.signal, { ...patience, onStall })) {
			pulse.output(output.tokenIds.length > 0);
			if (output.finishReason === "cancelled")
				throw new DynError("DRAINING", `instance ${instance.id} gave up a request that nobody cancelled`);
			span.tokens(output.tokenIds.length);
			yield progress.take(output);
		}
		if (!progress.finished) throw new DynError("DISCONNECTED", "the worker ended its answer too early");
	} catch (error) {
		span.fail(error);
		throw error;
	} finally {
		pulse.end();
		span.end(context.signal.aborted);
	}
}
