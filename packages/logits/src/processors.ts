// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessor, LogitsProcessorFactory } from "./logits-processor.js";

/** Several processors as one, applied in order. */
export function chain(...processors: readonly LogitsProcessor[]): LogitsProcessor {
	return {
		process(inputIds, logits) {
			for (const processor of processors) processor.process(inputIds, logits);
		},
	};
}

/** Divides the logits: above 1 flattens the distribution, below 1 sharpens it. `args`: `{ temperature: number > 0 }`. */
export const temperatureProcessor: LogitsProcessorFactory = (args) => {
	const temperature = (args as { temperature?: unknown } | null)?.temperature;
	if (typeof temperature !== "number" || !(temperature > 0))
		throw new TypeError("temperature must be a number above 0");
	const factor = 1 / temperature;
	return {
		process(_inputIds, logits) {
			for (let i = 0; i < logits.length; i++) logits[i]! *= factor;
		},
	};
};

/** Adds to the logits of some tokens. `args`: `{ bias: { "<token id>": number } }`. */
export const tokenBiasProcessor: LogitsProcessorFactory = (args) => {
	const bias = (args as { bias?: unknown } | null)?.bias;
	if (typeof bias !== "object" || bias === null)
		throw new TypeError("bias must be an object of token ids and numbers");
	const entries = Object.entries(bias).map(([id, value]) => [Number(id), value] as const);
	for (const [id, value] of entries) {
		if (!Number.isSafeInteger(id) || id < 0 || typeof value !== "number")
			throw new TypeError("bias must be an object of token ids and numbers");
	}
	return {
		process(_inputIds, logits) {
			for (const [id, value] of entries) if (id < logits.length) logits[id]! += value as number;
		},
	};
};

/** Lets nothing but the given tokens through. `args`: `{ ids: number[] }`, at least one. */
export const allowedTokensProcessor: LogitsProcessorFactory = (args) => {
	const ids = (args as { ids?: unknown } | null)?.ids;
	if (!Array.isArray(ids) || ids.length === 0 || !ids.every((id) => Number.isSafeInteger(id) && id >= 0)) {
		throw new TypeError("ids must be a list of token ids");
	}
	return {
		process(_inputIds, logits) {
			const kept = ids.filter((id) => id < logits.length).map((id) => [id, logits[id]!] as const);
			logits.fill(-Infinity);
			for (const [id, value] of kept) logits[id] = value;
		},
	};
};

/**
 * The hello-world example: forces one fixed answer, token by token, then the end. `args` are ignored.
 * @param answer token ids of the answer, the model's end-of-sequence id last
 */
export function helloWorldProcessor(answer: readonly number[]): LogitsProcessorFactory {
	return () => {
		let step = 0;
		return {
			process(_inputIds, logits) {
				const id = answer[Math.min(step++, answer.length - 1)]!;
				logits.fill(-Infinity);
				logits[id] = 0;
			},
		};
	};
}
