// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { MigrationMeter, MigrationMetrics } from "../frontend-metrics.js";
import type { MigrationOptions } from "../options.js";
import { AttemptSpans, type RequestSpan } from "./attempt-spans.js";
import { type Candidate, Candidates, type Servable } from "./candidates.js";
import { isMigratable } from "./migratable.js";
import { Progress } from "./progress.js";
import type { Readmission } from "./readmission.js";
import { work } from "./work.js";

/** What the parts of a request share. */
export interface Migration extends RequestSpan {
	readonly options: MigrationOptions;
	readonly metrics: MigrationMetrics;
	readonly readmission: Readmission;
}

export interface MigratableCall extends Migration {
	readonly model: Servable;
	readonly request: GenerateRequest;
	/** Keeps its id whoever works on it. */
	readonly context: RequestContext;
	/** The only instance that may be asked, or null. */
	readonly instanceId: bigint | null;
}

/**
 * The outputs of a request, whichever instances they come from. When one fails or freezes, another one continues behind
 * the tokens that came; nobody above can tell. Ends after every choice has had its finish reason.
 * @throws DynError CANCELLED, or what the last instance failed with when nobody may or can take over
 */
export async function* migrate(call: MigratableCall): AsyncGenerator<EngineOutput, void> {
	const { model, context, options, metrics, readmission } = call;
	const { name, contextLength } = model.card;
	const progress = new Progress(call.request, model.card.resumesGuided ?? false);
	const candidates = new Candidates(model, call.request, readmission);
	const spans = new AttemptSpans(call);
	let moves = 0;
	let moving: MigrationMeter | null = null;
	let frozen: Candidate | null = null;

	const mayMove = () =>
		call.instanceId === null &&
		moves < options.limit &&
		progress.continuable &&
		progress.sequenceLength <= contextLength;
	/** A silent instance is left for another one. With nobody else silence is all there is, unless discovery gave it up too. */
	const stallOf = (candidate: Candidate) => (silentMs: number) => {
		const { served, instance } = candidate;
		const isGone =
			silentMs >= options.stallMs && served.client.instances().every(({ id }) => id !== instance.id);
		const isWhole = progress.finished || progress.isFull(contextLength);
		if (!isWhole && !isGone && !(mayMove() && candidates.hasOther(instance))) return null;
		frozen = candidate;
		readmission.quarantine(served, instance);
		return new DynError(
			"DISCONNECTED",
			`instance ${instance.id} sent nothing for ${Math.round(silentMs)} ms`,
		);
	};

	try {
		let candidate = await candidates.first(call.instanceId);
		for (;;) {
			try {
				const request = progress.handOver();
				const patience = { ...options, onStall: stallOf(candidate) };
				const span = spans.start(candidate, request);
				for await (const output of work(candidate, request, progress, context, patience, span)) {
					moving?.end("success");
					moving = null;
					yield output;
				}
				return;
			} catch (error) {
				if (context.signal.aborted) throw cancellationError(context.signal);
				if (progress.finished) return; // only the stream's own end was missing
				moving?.end("failure");
				moving = null;
				// A frozen one may only have been slow: it can be asked again once it answers.
				if (frozen !== candidate) candidates.failed(candidate);
				if (!isMigratable(error, progress.began)) throw error;
				if (progress.isFull(contextLength)) {
					yield progress.lengthEnd();
					return;
				}
				if (progress.continuable && progress.sequenceLength > contextLength) metrics.contextExceeded(name);
				if (!mayMove()) throw error;
				moves++;
				moving = metrics.migrating(name, progress.began ? "ongoing_request" : "new_request");
				const next = await candidates.next(context.signal);
				if (context.signal.aborted) throw cancellationError(context.signal);
				if (!next) throw error;
				context.logger.warn("request goes on at another instance", {
					from: candidate.instance.id.toString(16),
					to: next.instance.id.toString(16),
					reason: DynError.from(error).message,
				});
				spans.migrate(candidate, next, error);
				candidate = next;
			}
		}
	} finally {
		moving?.end(context.signal.aborted ? "cancelled" : "failure");
	}
}
