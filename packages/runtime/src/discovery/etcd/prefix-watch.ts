// SPDX-License-Identifier: Apache-2.0
import type { StoreEvent } from "../key-value-store.js";
import { Bell, backoffMs } from "./bell.js";
import type { Contact } from "./contact.js";
import type { EtcdCalls } from "./etcd-calls.js";
import { LostKeys } from "./lost-keys.js";
import { PrefixView } from "./prefix-view.js";

type WatchCalls = Pick<EtcdCalls, "list" | "follow" | "leaseLives">;

/**
 * Tells what is under a prefix, then what changes, until `signal` aborts. Every connection begins with a complete list, so
 * nothing is missed that happened while there was none, whether or not etcd still remembers it.
 * @param holdMs how long keys are told when etcd has lost them, see `LostKeys`
 */
export async function* watchPrefix(
	calls: WatchCalls,
	contact: Contact,
	prefix: string,
	holdMs: number,
	signal: AbortSignal,
): AsyncGenerator<StoreEvent, void> {
	const view = new PrefixView();
	const news = new Bell();
	const keys = new LostKeys(view, holdMs, () => news.ring());
	const stop = new AbortController();
	const abort = () => {
		stop.abort();
		news.ring();
	};
	signal.addEventListener("abort", abort, { once: true });
	if (signal.aborted) abort();
	void follow(calls, contact, prefix, view, keys, news, stop.signal);
	try {
		while (!stop.signal.aborted) {
			const event = view.next();
			if (event) yield event;
			else await news.wait();
		}
	} finally {
		signal.removeEventListener("abort", abort);
		stop.abort();
		keys.close();
	}
}

/** Keeps `view` as etcd has it. Never throws. */
async function follow(
	calls: WatchCalls,
	contact: Contact,
	prefix: string,
	view: PrefixView,
	keys: LostKeys,
	news: Bell,
	signal: AbortSignal,
): Promise<void> {
	const pause = new Bell();
	const skipPause = () => pause.ring();
	signal.addEventListener("abort", skipPause);
	/** A key that is gone while its lease lives was deleted: its owner leaves. */
	const removeDeleted = async (key: string, leaseId: string) => {
		if (!(await calls.leaseLives(leaseId).catch(() => false))) return;
		keys.removeHeld(key);
		news.ring();
	};
	let failures = 0;
	while (!signal.aborted) {
		try {
			const { entries, revision } = await calls.list(prefix);
			if (signal.aborted) break;
			keys.replace(entries);
			news.ring();
			await calls.follow(prefix, revision, signal, {
				live: () => {
					failures = 0;
					contact.reached(view);
				},
				put: (key, value) => {
					keys.put(key, value);
					news.ring();
				},
				gone: (key, leaseId) => {
					keys.lose(key);
					void removeDeleted(key, leaseId);
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
