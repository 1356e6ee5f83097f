// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import { releaseKvSession } from "@dyn/kvbm/transfer";
import type { EngineOutput, GenerateRequest, KvSession } from "@dyn/protocols";
import { runPrefill } from "../prefill/run-prefill.js";
import { attempt, type Patience } from "./attempt.js";
import type { AttemptSpan } from "./attempt-spans.js";
import type { Candidate, Served } from "./candidates.js";
import type { Progress } from "./progress.js";

/**
 * What is to be asked of an instance. For a decode worker the prompt is computed first, elsewhere; when its first token is
 * the last one, that is the whole answer.
 * @throws DynError UNAVAILABLE when it needs a prefill worker and there is none
 */
async function prefilled(
	{ card, prefills }: Served,
	request: GenerateRequest,
	context: RequestContext,
	patience: Patience,
): Promise<{ readonly request: GenerateRequest } | { readonly answer: EngineOutput }> {
	if (card.workerType !== "decode") return { request };
	const answer = await runPrefill({ endpoints: prefills, request, context, patience });
	if (answer?.kvSession)
		return { request: { ...request, disaggregation: { role: "decode", session: answer.kvSession } } };
	if (answer) return { answer };
	if (card.localPrefill)
		return { request: { ...request, routing: { ...request.routing, bypassRemotePrefill: true } } };
	throw new DynError(
		"UNAVAILABLE",
		`no prefill worker serves ${card.name} now, and its decode workers need one`,
	);
}

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
	/** Of a prefill whose blocks the decode worker may not have taken. */
	let session: KvSession | null = null;
	try {
		const traced = { ...context, trace: span.trace };
		const ready = await prefilled(served, request, traced, patience);
		if ("answer" in ready) {
			span.tokens(ready.answer.tokenIds.length);
			yield progress.take(ready.answer);
			return;
		}
		if (ready.request.disaggregation?.role === "decode") session = ready.request.disaggregation.session;
		const call = (signal: AbortSignal) => served.client.call(instance, ready.request, { ...traced, signal });
		for await (const output of attempt(call, context.signal, { ...patience, onStall })) {
			pulse.output(output.tokenIds.length > 0);
			if (output.finishReason === "cancelled")
				throw new DynError("DRAINING", `instance ${instance.id} gave up a request that nobody cancelled`);
			session = null;
			span.tokens(output.tokenIds.length);
			yield progress.take(output);
		}
		if (!progress.finished) throw new DynError("DISCONNECTED", "the worker ended its answer too early");
	} catch (error) {
		span.fail(error);
		throw error;
	} finally {
		pulse.end();
		if (session) void releaseKvSession(session); // each attempt has a prefill of its own
		span.end(context.signal.aborted);
	}
}
