// SPDX-License-Identifier: Apache-2.0
import { AsyncQueue } from "@dyn/common";

/** Items of several streams as they come. A source waits until its last item was taken, so back-pressure reaches all. */
export async function* merge<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T, void> {
	if (sources.length === 1) {
		yield* sources[0]!;
		return;
	}
	const queue = new AsyncQueue<{ readonly item: T; readonly taken: () => void }>();
	const waiting = new Set<() => void>();
	let left = false;
	let open = sources.length;
	const pump = async (source: AsyncIterable<T>) => {
		try {
			for await (const item of source) {
				if (left) return;
				await new Promise<void>((taken) => {
					waiting.add(taken);
					queue.push({ item, taken });
				});
				if (left) return;
			}
			if (--open === 0) queue.end();
		} catch (error) {
			queue.fail(error);
		}
	};
	const pumps = sources.map(pump);
	try {
		for await (const { item, taken } of queue) {
			yield item;
			waiting.delete(taken);
			taken();
		}
	} finally {
		left = true;
		for (const taken of waiting) taken();
		void Promise.all(pumps);
	}
}
