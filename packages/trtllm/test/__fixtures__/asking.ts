// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, type DynError, type RequestContextOptions } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createGenerateRequest, type EngineOutput, type GenerateRequestInit } from "@dyn/protocols";
import { expect } from "vitest";

/** All outputs of one request. */
export async function collect(
	engine: Engine,
	init: GenerateRequestInit,
	options: RequestContextOptions = {},
): Promise<EngineOutput[]> {
	const outputs: EngineOutput[] = [];
	for await (const output of engine.generate(createGenerateRequest(init), createRequestContext(options)))
		outputs.push(output);
	return outputs;
}

export const tokensOf = (outputs: readonly EngineOutput[]): number[] =>
	outputs.flatMap(({ tokenIds }) => [...tokenIds]);

/** What `work` fails with. */
export const failure = (work: Promise<unknown>): Promise<DynError> =>
	work.then(
		() => expect.fail("it succeeded"),
		(error) => error,
	);

/** What `look` gives once it gives something, an empty list being nothing; the test's own time limit ends it. */
export async function until<T>(look: () => T): Promise<T> {
	for (;;) {
		const found = look();
		if (Array.isArray(found) ? found.length > 0 : found) return found;
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
}
