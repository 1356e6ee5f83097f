// SPDX-License-Identifier: Apache-2.0
import type { DriverQuestion } from "../driver-process.js";
import type { MachineLimits } from "./machine-limits.js";
import type { ModelShape } from "./model-shape.js";

export type SpeedQuestion = Exclude<DriverQuestion, { op: "info" }>;

/** What a question asks of the machine at least: a prefill as a whole, of decode one step. */
export interface Work {
	readonly tokens: number;
	/** Weights and cached keys and values, each read once. */
	readonly bytes: number;
	/** Multiplications and additions. */
	readonly operations: number;
}

export function workOf(question: SpeedQuestion, shape: ModelShape): Work {
	const { weightBytes, kvBytesOfToken, layerProducts, headProducts, attentionProducts } = shape;
	if (question.op === "pp") {
		const { n } = question;
		const products = n * layerProducts + ((n * (n + 1)) / 2) * attentionProducts + headProducts;
		return { tokens: n, bytes: weightBytes + n * kvBytesOfToken, operations: 2 * products };
	}
	const { batch, ctx, steps } = question;
	const context = ctx + steps / 2;
	return {
		tokens: batch,
		bytes: weightBytes + batch * context * kvBytesOfToken,
		operations: 2 * batch * (layerProducts + headProducts + context * attentionProducts),
	};
}

export interface Ceiling {
	readonly tokensPerSecond: number;
	/** What takes longer, and so is the limit. */
	readonly limit: "memory" | "arithmetic";
}

/**
 * How fast the work could be if reading and computing hid each other whole: bytes at the bandwidth that a memory of so many
 * bytes has here, operations at the fastest that the instruction set multiplies such weights with. Attention is taken to be
 * as fast, though no engine computes it with 8 bits, so the ceiling is rather too high.
 */
export function ceiling(work: Work, numbers: ModelShape["numbers"], limits: MachineLimits): Ceiling {
	const { fp32, bf16 = fp32, int8 } = limits.operationsPerSecond;
	const wider = numbers === "fp32" ? fp32 : Math.max(fp32, bf16);
	const reading = work.bytes / limits.bytesPerSecond(work.bytes);
	const computing = work.operations / (numbers === "int8" ? Math.max(wider, int8) : wider);
	return {
		tokensPerSecond: work.tokens / Math.max(reading, computing),
		limit: reading > computing ? "memory" : "arithmetic",
	};
}
