// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput } from "@dyn/protocols";

/** The same outputs, each through `map`. Leaving is passed on at once. */
export function mappedOutputs(
	outputs: AsyncIterator<EngineOutput, undefined>,
	map: (output: EngineOutput) => EngineOutput,
): AsyncIterator<EngineOutput, undefined> {
	return {
		async next() {
			const result = await outputs.next();
			return result.done ? result : { done: false, value: map(result.value) };
		},
		return: async () => {
			await outputs.return?.();
			return { done: true, value: undefined };
		},
	};
}
