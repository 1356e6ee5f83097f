// SPDX-License-Identifier: Apache-2.0

/** Parts of a version of TensorRT-LLM: "1.3.0rc22" is 1, 3, 0 and candidate 22; a release has candidate Infinity. */
export interface EngineVersion {
	readonly numbers: readonly [major: number, minor: number, patch: number];
	readonly candidate: number;
	/** A nightly: what it holds depends on its day, not on its number. */
	readonly nightly: boolean;
}

/** The last version with the TensorRT backend and its C++ executor, by TensorRT-LLM's release notes. */
export const LAST_WITH_EXECUTOR = "1.3.0rc20";

/** Null when the text is no version of the form 1.2.3, 1.2.3rc4, 1.2.3rc4.post1 or 1.2.3.dev20260901. */
export function parseEngineVersion(text: string): EngineVersion | null {
	const match = /^(\d+)\.(\d+)(?:\.(\d+))?(?:rc(\d+))?(?:\.post\d+)?(\.dev\d+)?(?:\+.*)?$/.exec(text.trim());
	if (!match) return null;
	const [, major, minor, patch, candidate, nightly] = match;
	return {
		numbers: [Number(major), Number(minor), Number(patch ?? 0)],
		candidate: candidate === undefined ? Infinity : Number(candidate),
		nightly: nightly !== undefined,
	};
}

/** Below 0 when `a` is older, 0 when they are equal up to posts, above 0 when it is newer; NaN when one is no version. */
export function compareEngineVersions(a: string, b: string): number {
	const [left, right] = [parseEngineVersion(a), parseEngineVersion(b)];
	if (!left || !right) return Number.NaN;
	for (let i = 0; i < 3; i++)
		if (left.numbers[i] !== right.numbers[i]) return left.numbers[i]! - right.numbers[i]!;
	return left.candidate === right.candidate ? 0 : left.candidate - right.candidate;
}
