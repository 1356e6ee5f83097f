// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type RequestContext } from "@dyn/common";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import type { Instance } from "@dyn/runtime";
import type { MigrationMeter, MigrationMetrics } from "../frontend-metrics.js";
import type { ServableModel } from "../models/model-directory.js";
import type { MigrationOptions } from "../options.js";
import { attempt } from "./attempt.js";
import { isMigratable } from "./migratable.js";
import { Progress } from "./progress.js";
import type { Readmission } from "./readmission.js";

/** What all requests of a frontend share. */
export interface Migration {
	readonly options: MigrationOptions;
	readonly metrics: MigrationMetrics;
	readonly readmission: Readmission;
}

export interface MigratableCall extends Migration {
	readonly model: Pick<ServableModel, "card" | "client" | "instances">;
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
	const { card, client, instances: among } = model;
	const progress = new Progress(call.request);
	const failed = new Set<bigint>();
	let moves = 0;
	let moving: MigrationMeter | null = null;

	const mayMove = () =>
		call.instanceId === null &&
		moves < options.limit &&
		progress.continuable &&
		progress.sequenceLength <= card.contextLength;
	/** A silent instance is left for another one. With nobody else silence is all there is, unless discovery gave it up too. */
	const stallOf = (instance: Instance) => (silentMs: number) => {
		const live = client.instances();
		const hasOther = live.some(({ id }) => id !== instance.id && among.has(id) && !failed.has(id));
		const isGone = silentMs >= options.stallMs && live.every(({ id }) => id !== instance.id);
		const isWhole = progress.finished || progress.isFull(card.contextLength);
		if (!isWhole && !isGone && !(hasOther && mayMove())) return null;
		readmission.quarantine(model, instance);
		return new DynError(
			"DISCONNECTED",
			`instance ${instance.id} sent nothing for ${Math.round(silentMs)} ms`,
		);
	};

	try {
		const pin = call.instanceId === null ? {} : { instanceId: call.instanceId };
		let instance = await client.choose({ among, ...pin });
		for (;;) {
			try {
				const request = progress.handOver();
				const outputs = attempt(
					(signal) => client.call(instance, request, { ...context, signal }),
					context.signal,
					{ ...options, onStall: stallOf(instance) },
				);
				for await (const output of outputs) {
					if (output.finishReason === "cancelled")
						throw new DynError("DRAINING", `instance ${instance.id} gave up a request that nobody cancelled`);
					moving?.end("success");
					moving = null;
					yield progress.take(output);
				}
				if (progress.finished) return;
				throw new DynError("DISCONNECTED", "the worker ended its answer too early");
			} catch (error) {
				if (context.signal.aborted) throw cancellationError(context.signal);
				if (progress.finished) return; // only the stream's own end was missing
				moving?.end("failure");
				moving = null;
				failed.add(instance.id);
				if (!isMigratable(error, progress.began)) throw error;
				if (progress.isFull(card.contextLength)) {
					yield progress.lengthEnd();
					return;
				}
				if (progress.continuable && progress.sequenceLength > card.contextLength)
					metrics.contextExceeded(card.name);
				if (!mayMove()) throw error;
				moves++;
				moving = metrics.migrating(card.name, progress.began ? "ongoing_request" : "new_request");
				const next = await client.choose({ among, exclude: failed }).catch(() => null);
				if (!next) throw error;
				context.logger.warn("request goes on at another instance", {
					from: instance.id.toString(16),
					to: next.id.toString(16),
					reason: DynError.from(error).message,
				});
				instance = next;
			}
		}
	} finally {
		moving?.end(context.signal.aborted ? "cancelled" : "failure");
	}
}
