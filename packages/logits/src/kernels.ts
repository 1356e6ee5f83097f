// SPDX-License-Identifier: Apache-2.0

/** Index of the largest value, the first of equals; NaN never wins. 0 when there is none above -Infinity. */
export function argmax(values: Float32Array): number {
	let best = 0;
	let top = -Infinity;
	for (let i = 0; i < values.length; i++) {
		const value = values[i]!;
		if (value > top) {
			best = i;
			top = value;
		}
	}
	return best;
}

/** log(sum(exp(values))), without overflow. -Infinity for an empty array, NaN if a value is NaN. */
export function logSumExp(values: Float32Array): number {
	const top = values[argmax(values)] ?? -Infinity;
	if (!Number.isFinite(top)) return top;
	let sum = 0;
	for (let i = 0; i < values.length; i++) sum += Math.exp(values[i]! - top);
	return top + Math.log(sum);
}

/** Replaces logits by probabilities. At least one must be a number, none NaN or +Infinity. */
export function softmaxInPlace(values: Float32Array): void {
	const normaliser = logSumExp(values);
	for (let i = 0; i < values.length; i++) values[i] = Math.exp(values[i]! - normaliser);
}

/** Indices of the k largest values (all, if there are fewer), largest first, equals in index order. No NaN. O(n log k). */
export function topK(values: Float32Array, k: number): Uint32Array {
	const before = (a: number, b: number) => values[a]! > values[b]! || (values[a] === values[b] && a < b);
	// A heap with the weakest of the chosen on top.
	const heap: number[] = [];
	const sink = (from: number) => {
		for (let i = from; ; ) {
			const left = 2 * i + 1;
			const right = left + 1;
			let weakest = i;
			if (left < heap.length && before(heap[weakest]!, heap[left]!)) weakest = left;
			if (right < heap.length && before(heap[weakest]!, heap[right]!)) weakest = right;
			if (weakest === i) return;
			[heap[i], heap[weakest]] = [heap[weakest]!, heap[i]!];
			i = weakest;
		}
	};
	const size = Math.min(k, values.length);
	for (let i = 0; i < size; i++) heap.push(i);
	for (let i = (size >> 1) - 1; i >= 0; i--) sink(i);
	for (let i = size; i < values.length && size > 0; i++) {
		if (!before(i, heap[0]!)) continue;
		heap[0] = i;
		sink(0);
	}
	return Uint32Array.from(heap.sort((a, b) => (before(a, b) ? -1 : 1)));
}
