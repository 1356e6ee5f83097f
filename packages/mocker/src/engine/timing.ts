// SPDX-License-Identifier: Apache-2.0

/** What one step computes. */
export interface StepWork {
	/** Prompt tokens, without those that the cache had. */
	readonly prefillTokens: number;
	/** Sequences that get another token. */
	readonly decodeSequences: number;
	/** Tokens of the KV cache that the decoding sequences read. */
	readonly decodeContextTokens: number;
	/** Tokens that the whole KV cache holds. */
	readonly kvCapacityTokens: number;
}

/** Modelled duration of a step, ms. */
export interface StepTiming {
	prefillMs(work: StepWork): number;
	decodeMs(work: StepWork): number;
}

/** The polynomials of Dynamo's mocker without profile data. */
export const DYNAMO_TIMING: StepTiming = {
	prefillMs: ({ prefillTokens: t }) => (t === 0 ? 0 : 4.209989e-7 * t * t + 1.518344e-2 * t + 16.50142),
	decodeMs: ({ decodeSequences, decodeContextTokens, kvCapacityTokens }) => {
		if (decodeSequences === 0) return 0;
		const usage = Math.min(1, decodeContextTokens / kvCapacityTokens);
		return Math.max(1, -25.74 * usage * usage + 54.01 * usage + 5.74);
	},
};

export interface Speed {
	/** Divides every time; 0 = nothing takes any time. */
	readonly speedupRatio: number;
	/** Divides the time of decoding once more. */
	readonly decodeSpeedupRatio: number;
}

/** Duration of a step, ms; 0 = none at all. */
export function stepMs(
	timing: StepTiming,
	work: StepWork,
	{ speedupRatio, decodeSpeedupRatio }: Speed,
): number {
	if (speedupRatio === 0 || speedupRatio === Number.POSITIVE_INFINITY) return 0;
	return (timing.prefillMs(work) + timing.decodeMs(work) / decodeSpeedupRatio) / speedupRatio;
}
