// SPDX-License-Identifier: Apache-2.0

/** Code points from the first to the second, both included. */
export type CodeRange = readonly [number, number];

/** What a text may be: the one form that schemas, expressions and grammars are turned into. */
export type Expression =
	/** One character out of these; sorted, not overlapping. None: nothing matches. */
	| { readonly kind: "characters"; readonly ranges: readonly CodeRange[] }
	| { readonly kind: "text"; readonly text: string }
	| { readonly kind: "sequence"; readonly items: readonly Expression[] }
	/** None: nothing matches. */
	| { readonly kind: "choice"; readonly items: readonly Expression[] }
	/** `max` may be Infinity. */
	| { readonly kind: "repeat"; readonly item: Expression; readonly min: number; readonly max: number }
	| { readonly kind: "rule"; readonly name: string };

/** Rules by name; `start` is what the whole text must match. */
export interface Grammar {
	readonly rules: ReadonlyMap<string, Expression>;
	readonly start: Expression;
}

export const LAST_CODE_POINT = 0x10ffff;
export const EMPTY: Expression = { kind: "sequence", items: [] };
export const NOTHING: Expression = { kind: "choice", items: [] };

export function text(value: string): Expression {
	return { kind: "text", text: value };
}

export function sequence(...items: readonly Expression[]): Expression {
	return items.length === 1 ? items[0]! : { kind: "sequence", items };
}

export function choice(...items: readonly Expression[]): Expression {
	return items.length === 1 ? items[0]! : { kind: "choice", items };
}

export function repeat(item: Expression, min: number, max: number): Expression {
	return { kind: "repeat", item, min, max };
}

export function optional(item: Expression): Expression {
	return choice(EMPTY, item);
}

export function rule(name: string): Expression {
	return { kind: "rule", name };
}

export function characters(ranges: readonly CodeRange[]): Expression {
	return { kind: "characters", ranges: mergeRanges(ranges) };
}

/** Sorted, without overlaps. */
export function mergeRanges(ranges: readonly CodeRange[]): CodeRange[] {
	const merged: [number, number][] = [];
	for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
		const last = merged.at(-1);
		if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
		else merged.push([low, high]);
	}
	return merged;
}

/** Every code point that `ranges` lacks. */
export function invertRanges(ranges: readonly CodeRange[]): CodeRange[] {
	const inverted: CodeRange[] = [];
	let next = 0;
	for (const [low, high] of mergeRanges(ranges)) {
		if (low > next) inverted.push([next, low - 1]);
		next = high + 1;
	}
	if (next <= LAST_CODE_POINT) inverted.push([next, LAST_CODE_POINT]);
	return inverted;
}

/** Code points that both have. */
export function intersectRanges(a: readonly CodeRange[], b: readonly CodeRange[]): CodeRange[] {
	return invertRanges([...invertRanges(a), ...invertRanges(b)]);
}
