// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessorFactory } from "./logits-processor.js";

/** Divides the logits: above 1 flattens the distribution, below 1 sharpens it. `args`: `{ temperature: number > 0 }`. */
export const temperatureProcessor: LogitsProcessorFactory = (args) => {
	const temperature = field(args, "temperature");
	if (typeof temperature !== "number" || !(temperature > 0))
		throw new TypeError("temperature must be a number above 0");
	return {
		process(_inputIds, logits) {
			for (let i = 0; i < logits.length; i++) logits[i]! /= temperature;
		},
	};
};

/** Adds to the logits of some tokens. `args`: `{ bias: { "<token id>": number } }`. Ids beyond the vocabulary do nothing. */
export const tokenBiasProcessor: LogitsProcessorFactory = (args) => {
	const bias = field(args, "bias");
	const entries = typeof bias === "object" && bias !== null ? Object.entries(bias) : [];
	if (entries.length === 0 || !entries.every(([id, value]) => /^\d+$/.test(id) && Number.isFinite(value)))
		throw new TypeError("bias must be an object of token ids and numbers");
	const pairs = entries.map(([id, value]) => [Number(id), value as number] as const);
	return {
		process(_inputIds, logits) {
			for (const [id, value] of pairs) if (id < logits.length) logits[id]! += value;
		},
	};
};

/** Lets nothing but the given tokens through. `args`: `{ ids: number[] }`, at least one. */
export const allowedTokensProcessor: LogitsProcessorFactory = (args) => {
	const ids = tokenIds(args);
	return {
		process(_inputIds, logits) {
			const kept = ids.filter((id) => id < logits.length).map((id) => [id, logits[id]!] as const);
			logits.fill(-Infinity);
			for (const [id, value] of kept) logits[id] = value;
		},
	};
};

/** Never lets the given tokens through. `args`: `{ ids: number[] }`, at least one. */
export const bannedTokensProcessor: LogitsProcessorFactory = (args) => {
	const ids = tokenIds(args);
	return {
		process(_inputIds, logits) {
			for (const id of ids) if (id < logits.length) logits[id] = -Infinity;
		},
	};
};

/**
 * The hello-world example: forces one fixed answer, token by token, then the end. `args` are ignored.
 * @param answer token ids of the answer, the model's end-of-sequence id last; that one repeats
 * @throws TypeError when `answer` is empty.
 */
export function helloWorldProcessor(answer: readonly number[]): LogitsProcessorFactory {
	if (answer.length === 0) throw new TypeError("the answer must have at least one token id");
	return () => {
		let step = 0;
		return {
			process(_inputIds, logits) {
				const id = answer[Math.min(step++, answer.length - 1)]!;
				logits.fill(-Infinity);
				if (id < logits.length) logits[id] = 0;
			},
		};
	};
}

function field(args: unknown, name: string): unknown {
	return (args as Record<string, unknown> | null | undefined)?.[name];
}

function tokenIds(args: unknown): readonly number[] {
	const ids = field(args, "ids");
	if (Array.isArray(ids) && ids.length > 0 && ids.every((id) => Number.isSafeInteger(id) && id >= 0))
		return ids;
	throw new TypeError("ids must be a list of token ids");
}
