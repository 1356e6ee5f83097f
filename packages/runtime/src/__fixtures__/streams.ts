// SPDX-License-Identifier: Apache-2.0

/** Resolves when `signal` has aborted. */
export const aborted = (signal: AbortSignal): Promise<unknown> =>
	signal.aborted
		? Promise.resolve()
		: new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));

export async function collect(stream: AsyncIterable<unknown>): Promise<unknown[]> {
	const items = [];
	for await (const item of stream) items.push(item);
	return items;
}
