// SPDX-License-Identifier: Apache-2.0
import { cancellationError, DynError, type RequestContext } from "@dyn/common";
import { releaseKvSession } from "@dyn/kvbm/transfer";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import { attempt, type Patience } from "../migration/attempt.js";
import { isMigratable } from "../migration/migratable.js";
import type { PrefillEndpoint } from "./prefill-workers.js";

/** Prefill workers that are asked for one prompt before it fails. */
const MOST_TRIES = 3;

export interface PrefillCall {
	/** Where prefill workers are, now. */
	endpoints(): readonly PrefillEndpoint[];
	readonly request: GenerateRequest;
	readonly context: RequestContext;
	readonly patience: Omit<Patience, "onStall">;
}

/**
 * Has a prefill worker compute the prompt; when one fails or freezes, another one.
 * @returns what it answered: with a session to decode from, or complete; null when there is no prefill worker at all
 * @throws DynError CANCELLED, or what the last worker failed with
 */
export async function runPrefill(call: PrefillCall): Promise<EngineOutput | null> {
	const { request, context } = call;
	const failed = new Set<bigint>();
	let last: unknown = null;
	for (let tries = 0; tries < MOST_TRIES; tries++) {
		const chosen = await choose(call.endpoints(), failed);
		if (!chosen) break;
		const { endpoint, instance } = chosen;
		failed.add(instance.id); // for this request, unless it succeeds
		const onStall = (silentMs: number) =>
			hasOther(call.endpoints(), failed)
				? new DynError(
						"DISCONNECTED",
						`prefill instance ${instance.id} sent nothing for ${Math.round(silentMs)} ms`,
					)
				: null;
		let answer: EngineOutput | null = null;
		try {
			const outputs = attempt(
				(signal) => endpoint.client.call(instance, request, { ...context, signal }),
				context.signal,
				{ ...call.patience, onStall },
			);
			for await (const output of outputs) answer = output;
			if (answer?.finishReason && answer.finishReason !== "cancelled") return answer;
			throw new DynError("DISCONNECTED", `prefill instance ${instance.id} ended its answer too early`);
		} catch (error) {
			if (answer?.kvSession) void releaseKvSession(answer.kvSession);
			if (context.signal.aborted) throw cancellationError(context.signal);
			if (!isMigratable(error, false)) throw error;
			context.logger.warn("prefill failed at an instance", {
				instance: instance.id.toString(16),
				reason: DynError.from(error).message,
			});
			last = error;
		}
	}
	if (last) throw last;
	return null;
}

async function choose(endpoints: readonly PrefillEndpoint[], exclude: ReadonlySet<bigint>) {
	for (const endpoint of endpoints) {
		const instance = await endpoint.client.choose({ among: endpoint.instances, exclude }).catch(() => null);
		if (instance) return { endpoint, instance };
	}
	return null;
}

function hasOther(endpoints: readonly PrefillEndpoint[], failed: ReadonlySet<bigint>): boolean {
	return endpoints.some(({ client, instances }) =>
		client.instances().some(({ id }) => instances.has(id) && !failed.has(id)),
	);
}
