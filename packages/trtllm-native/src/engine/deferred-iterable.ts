// SPDX-License-Identifier: Apache-2.0

/**
 * An iterable whose iterator is opened by the first `next`, which also reports why it could not be. Unlike an async
 * generator it passes `return` on at once, also while a `next` waits: a caller that leaves is noticed without delay.
 */
export function deferredIterable<T>(open: () => Promise<AsyncIterator<T, undefined>>): AsyncIterable<T> {
	return {
		[Symbol.asyncIterator]: () => {
			const done = { value: undefined, done: true } as const;
			let opened: Promise<AsyncIterator<T, undefined> | null> | null = null;
			return {
				async next() {
					opened ??= open().catch((error: unknown) => {
						opened = Promise.resolve(null);
						throw error;
					});
					return (await opened)?.next() ?? done;
				},
				async return() {
					const iterator = await opened?.catch(() => null);
					opened = Promise.resolve(null);
					await iterator?.return?.();
					return done;
				},
			};
		},
	};
}
