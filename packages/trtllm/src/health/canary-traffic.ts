// SPDX-License-Identifier: Apache-2.0
import type { Canary } from "@dyn/runtime";

/** A stream whose every item tells the canary that the endpoint lives. */
export async function* touchCanary<T>(stream: AsyncIterable<T>, canary: Canary): AsyncGenerator<T, void> {
	for await (const item of stream) {
		canary.touch();
		yield item;
	}
}
