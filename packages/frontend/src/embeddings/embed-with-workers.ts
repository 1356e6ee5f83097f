// SPDX-License-Identifier: Apache-2.0
import { DynError, linkSignals, type RequestContext } from "@dyn/common";
import type { EmbedOutput, EmbedRequest } from "@dyn/protocols";
import { isMigratable } from "../migration/migratable.js";
import type { ServableModel } from "../models/model-directory.js";

/** Inputs of one request to a worker: enough to fill its steps, few enough that a large batch is spread over all workers. */
const INPUTS_PER_REQUEST = 64;

export interface EmbedCall {
	readonly model: ServableModel;
	readonly inputs: readonly Uint32Array[];
	readonly dimensions: number | null;
	/** How many further instances may be asked for what one failed to do. */
	readonly retries: number;
}

/**
 * Embeds all inputs, whichever workers do it; what one of them fails at, another one does. One part's failure ends all.
 * @throws DynError of the worker when nobody can take over
 */
export async function embedWithWorkers(call: EmbedCall, context: RequestContext): Promise<EmbedOutput> {
	const over = new AbortController();
	const { signal, unlink } = linkSignals(context.signal, over.signal);
	const parts: Promise<EmbedOutput>[] = [];
	for (let at = 0; at < call.inputs.length; at += INPUTS_PER_REQUEST) {
		const id = call.inputs.length > INPUTS_PER_REQUEST ? `${context.id}-${parts.length}` : context.id;
		const inputs = call.inputs.slice(at, at + INPUTS_PER_REQUEST);
		parts.push(embedPart({ ...call, inputs }, { ...context, id, signal }));
	}
	try {
		const outputs = await Promise.all(parts);
		return {
			embeddings: outputs.flatMap(({ embeddings }) => embeddings),
			promptTokens: outputs.reduce((sum, { promptTokens }) => sum + promptTokens, 0),
		};
	} finally {
		over.abort(new DynError("CANCELLED", "nobody waits for this answer any more"));
		unlink();
	}
}

async function embedPart(call: EmbedCall, context: RequestContext): Promise<EmbedOutput> {
	const { model, inputs, dimensions, retries } = call;
	const request: EmbedRequest = { model: model.card.name, inputs, dimensions, dpRank: null };
	const failed = new Set<bigint>();
	for (;;) {
		const instance = await model.client.choose({ among: model.instances, exclude: failed });
		try {
			const answers: EmbedOutput[] = [];
			for await (const item of model.client.call(instance, request, context))
				answers.push(item as EmbedOutput);
			if (answers.length === 1 && answers[0]!.embeddings.length === inputs.length) return answers[0]!;
			throw new DynError("INTERNAL", `instance ${instance.id} did not answer with an embedding per input`);
		} catch (error) {
			failed.add(instance.id);
			const others = model.client.instances().some(({ id }) => model.instances.has(id) && !failed.has(id));
			if (!others || failed.size > retries || !isMigratable(error, false)) throw error;
		}
	}
}
