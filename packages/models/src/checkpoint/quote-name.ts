// SPDX-License-Identifier: Apache-2.0

const LONGEST = 80;

/** A name out of a file that nobody has checked, fit for an error message: short, on one line, in quotes. */
export function quoteName(name: unknown): string {
	if (typeof name !== "string") return `(${name === null ? "null" : typeof name})`;
	return JSON.stringify(name.length > LONGEST ? `${name.slice(0, LONGEST)}…` : name);
}
