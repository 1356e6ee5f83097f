// SPDX-License-Identifier: Apache-2.0
import type { Expression } from "./expression.js";

/** Fewest and most characters (code points) that an expression without rules matches. */
export function textLength(expression: Expression): readonly [number, number] {
	switch (expression.kind) {
		case "characters":
			return [1, 1];
		case "text": {
			const length = [...expression.text].length;
			return [length, length];
		}
		case "sequence": {
			const lengths = expression.items.map(textLength);
			return [sum(lengths.map(([min]) => min)), sum(lengths.map(([, max]) => max))];
		}
		case "choice": {
			const lengths = expression.items.map(textLength);
			return [Math.min(...lengths.map(([min]) => min)), Math.max(...lengths.map(([, max]) => max))];
		}
		case "repeat": {
			const [min, max] = textLength(expression.item);
			return [min * expression.min, max === 0 ? 0 : max * expression.max];
		}
		case "rule":
			throw new RangeError(`the length of rule ${expression.name} is not known`);
	}
}

function sum(values: readonly number[]): number {
	return values.reduce((total, value) => total + value, 0);
}
