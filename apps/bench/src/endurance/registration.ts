// SPDX-License-Identifier: Apache-2.0

export interface Registration {
	/** Instances and model cards in etcd at the end. */
	readonly keys: readonly string[];
	/** Since the begin of the watch, to the time from which on nothing was missing any more; null while something is. */
	readonly completeMs: number | null;
	/** Of what was expected. */
	readonly missing: readonly string[];
}

const POLL_MS = 250;

/**
 * Reads for so many seconds what is announced in etcd: keys that are only left from before vanish when their lease ends,
 * so the last gap counts, not the first time that all is there.
 */
export async function watchRegistration(
	etcd: string,
	watchSeconds: number,
	expected: readonly string[] = [],
): Promise<Registration> {
	const began = performance.now();
	let completeMs: number | null = null;
	for (;;) {
		const keys = await announcedIn(etcd);
		const ms = performance.now() - began;
		const missing = expected.filter((key) => !keys.includes(key));
		if (missing.length > 0) completeMs = null;
		else completeMs ??= Math.round(ms);
		if (ms >= watchSeconds * 1000) return { keys, completeMs, missing };
		await new Promise((resolve) => setTimeout(resolve, POLL_MS));
	}
}

/** Keys below "v1/" (Dynamo's instances and model cards), as etcd's JSON gateway gives them. */
async function announcedIn(etcd: string): Promise<string[]> {
	const [key, range_end] = ["v1/", "v10"].map((text) => Buffer.from(text).toString("base64"));
	const response = await fetch(`${etcd}/v3/kv/range`, {
		method: "POST",
		body: JSON.stringify({ key, range_end, keys_only: true }),
	});
	const { kvs = [] } = (await response.json()) as { readonly kvs?: readonly { readonly key: string }[] };
	return kvs.map((kv) => Buffer.from(kv.key, "base64").toString());
}
