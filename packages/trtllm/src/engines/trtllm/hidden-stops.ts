// SPDX-License-Identifier: Apache-2.0
import type { EngineOutput, StopConditions } from "@dyn/protocols";

/**
 * Cuts stop ids that shall not be seen off answers whose other stop ids shall: the engine has one switch for both. Such an
 * id is held back until the choice goes on, which it does below `minTokens` only, or ends.
 */
export class HiddenStops {
	readonly #hidden: ReadonlySet<number>;
	/** Per choice: the delta that ends with a hidden id. */
	readonly #held = new Map<number, EngineOutput>();

	/** Null when nothing has to be hidden here. */
	static of({ stopTokenIds, visibleStopTokenIds }: StopConditions): HiddenStops | null {
		if (stopTokenIds.length === 0 || visibleStopTokenIds.length === 0) return null;
		const visible = new Set(visibleStopTokenIds);
		return new HiddenStops(new Set(stopTokenIds.filter((id) => !visible.has(id))));
	}

	private constructor(hidden: ReadonlySet<number>) {
		this.#hidden = hidden;
	}

	*filter(output: EngineOutput): Iterable<EngineOutput> {
		const held = this.#held.get(output.index);
		this.#held.delete(output.index);
		const whole = held ? joined(held, output) : output;
		const endsHidden = this.#hidden.has(whole.tokenIds.at(-1) ?? -1);
		if (!endsHidden) yield whole;
		else if (whole.finishReason === null) this.#held.set(output.index, whole);
		else yield whole.finishReason === "stop" ? withoutLast(whole) : whole;
	}
}

function joined(first: EngineOutput, second: EngineOutput): EngineOutput {
	return {
		...first,
		...second,
		tokenIds: [...first.tokenIds, ...second.tokenIds],
		logprobs: first.logprobs ? [...first.logprobs, ...(second.logprobs ?? [])] : second.logprobs,
	};
}

function withoutLast(output: EngineOutput): EngineOutput {
	const { usage } = output;
	return {
		...output,
		tokenIds: output.tokenIds.slice(0, -1),
		logprobs: output.logprobs?.slice(0, -1) ?? null,
		usage: usage && { ...usage, completionTokens: usage.completionTokens - 1 },
	};
}
