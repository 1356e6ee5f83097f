// SPDX-License-Identifier: Apache-2.0
import { isInteger, isSafeNumber, parse, stringify } from "lossless-json";

/** A run of digits that may be an integer beyond 2^53. Inside a string it costs a slower parse, never a wrong one. */
const LONG_NUMBER = /\d{16}/;

const parseNumber = (text: string): number | bigint =>
	isInteger(text) && !isSafeNumber(text) ? BigInt(text) : Number(text);

/**
 * `JSON.parse` that keeps integers beyond 2^53 exact, as bigint; all other numbers are numbers.
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
	return LONG_NUMBER.test(text) ? parse(text, undefined, parseNumber) : JSON.parse(text);
}

/** `JSON.stringify` that writes bigint as a number. `undefined` values are left out. */
export function stringifyJson(value: unknown): string {
	try {
		return JSON.stringify(value) ?? "null";
	} catch (error) {
		if (!(error instanceof TypeError)) throw error;
		return stringify(value) ?? "null"; // it has a bigint in it; this one takes several times longer
	}
}
