// SPDX-License-Identifier: Apache-2.0
import { DynError, type RequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type { EmbedOutput, EmbedRequest } from "@dyn/protocols";

/** An engine's embeddings as a stream of one answer, which is what endpoints give. */
export async function* embedAnswer(
	engine: Engine,
	request: EmbedRequest,
	context: RequestContext,
): AsyncGenerator<EmbedOutput, void> {
	if (!engine.embed)
		throw new DynError("UNIMPLEMENTED", "this worker's engine makes no embeddings; ask another worker");
	yield await engine.embed(request, context);
}
