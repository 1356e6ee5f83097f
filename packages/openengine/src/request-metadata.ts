// SPDX-License-Identifier: Apache-2.0
import { invalidArgument, type TraceContext } from "@dyn/common";

/** What a caller may say beside a request, as gRPC metadata; OpenEngine's docs/api.md. */
export interface RequestMetadata {
	/** Opaque, not empty. */
	readonly routingKey?: string | undefined;
	/** u32. */
	readonly targetDpRank?: number | undefined;
	/** i32; higher runs first. */
	readonly priority?: number | undefined;
	readonly trace?: TraceContext | undefined;
}

const ROUTING_KEY = "openengine-routing-key";
const TARGET_DP_RANK = "openengine-target-dp-rank";
const PRIORITY = "openengine-priority";

export function toMetadata({
	routingKey,
	targetDpRank,
	priority,
	trace,
}: RequestMetadata): Record<string, string> {
	return {
		...(routingKey === undefined ? {} : { [ROUTING_KEY]: routingKey }),
		...(targetDpRank === undefined ? {} : { [TARGET_DP_RANK]: String(targetDpRank) }),
		...(priority === undefined ? {} : { [PRIORITY]: String(priority) }),
		...(trace ? { traceparent: trace.traceparent } : {}),
		...(trace?.tracestate ? { tracestate: trace.tracestate } : {}),
	};
}

/**
 * Reads what `toMetadata` wrote.
 * @param values all values of a key
 * @throws DynError INVALID_ARGUMENT for a repeated or malformed value
 */
export function fromMetadata(values: (key: string) => readonly string[]): RequestMetadata {
	const one = (key: string): string | undefined => {
		const all = values(key);
		if (all.length > 1) throw invalidArgument(key, `${key} is given ${all.length} times; send it once`);
		return all[0];
	};
	const integer = (key: string, lowest: number, highest: number): number | undefined => {
		const text = one(key);
		if (text === undefined) return undefined;
		const value = Number(text);
		if (!/^-?\d+$/.test(text) || value < lowest || value > highest)
			throw invalidArgument(key, `${key} must be an integer from ${lowest} to ${highest} in decimal digits`);
		return value;
	};
	const routingKey = one(ROUTING_KEY);
	// Node joins repeated headers, so that two keys look like one with a comma.
	if (routingKey?.includes(", "))
		throw invalidArgument(ROUTING_KEY, `${ROUTING_KEY} is given twice, or has a comma; send one key without`);
	if (routingKey === "") throw invalidArgument(ROUTING_KEY, `${ROUTING_KEY} is empty; leave it out`);
	const traceparent = one("traceparent");
	const tracestate = one("tracestate");
	return {
		routingKey,
		targetDpRank: integer(TARGET_DP_RANK, 0, 2 ** 32 - 1),
		priority: integer(PRIORITY, -(2 ** 31), 2 ** 31 - 1),
		trace: traceparent ? { traceparent, ...(tracestate ? { tracestate } : {}) } : undefined,
	};
}
