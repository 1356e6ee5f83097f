// SPDX-License-Identifier: Apache-2.0
import type { StoreEvent } from "../key-value-store.js";
import { Bell, backoffMs } from "./bell.js";
import type { Contact } from "./contact.js";
import type { EtcdCalls } from "./etcd-calls.js";
import { PrefixView } from "./prefix-view.js";

type WatchCalls = Pick<EtcdCalls, "list" | "follow">;

/**
 * Tells what is under a prefix, then what changes, until `signal` aborts. Every connection begins with a complete list, so
 * nothing is missed that happened while there was none, whether or not etcd still remembers it.
 */
export async function* watchPrefix(
	calls: WatchCalls,
	contact: Contact,
	prefix: string,
	signal: AbortSignal,
): AsyncGenerator<StoreEvent, void> {
	const view = new PrefixView();
	const news = new Bell();
	const stop = new AbortController();
	const abort = () => {
		stop.abort();
		news.ring();
	};
	signal.addEventListener("abort", abort, { once: true });
	if (signal.aborted) abort();
	void follow(calls, contact, prefix, view, news, stop.signal);
	try {
		while (!stop.signal.aborted) {
			const event = view.next();
			if (event) yield event;
			else await news.wait();
		}
	} finally {
		signal.removeEventListener("abort", abort);
		stop.abort();
	}
}

/** Keeps `view` as etcd has it. Never throws. */
async function follow(
	calls: WatchCalls,
	contact: Contact,
	prefix: string,
	view: PrefixView,
	news: Bell,
	signal: AbortSignal,
): Promise<void> {
	const pause = new Bell();
	const skipPause = () => pause.ring();
	signal.addEventListener("abort", skipPause);
	let failures = 0;
	while (!signal.aborted) {
		try {
			const { entries, revision } = await calls.list(prefix);
			view.replace(entries);
			news.ring();
			await calls.follow(prefix, revision, signal, {
				live: () => {
					failures = 0;
					contact.reached(view);
				},
				changed: (key, value) => {
					view.set(key, value);
					news.ring();
				},
			});
		} catch (error) {
			if (signal.aborted) break;
			contact.lost(view, error);
			await pause.wait(backoffMs(failures++), true);
		}
	}
	signal.removeEventListener("abort", skipPause);
	contact.left(view);
}
