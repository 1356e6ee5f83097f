// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { JsonValue, KvSession } from "../kv-session.js";
import { PlainData } from "./plain-data.js";

/** Deepest nesting of a session's attributes: enough for every known engine, too little to exhaust a stack. */
const MAX_DEPTH = 64;

/**
 * A session as Dynamo's `disaggregated_params` of an OpenEngine worker. Attributes with null in them are there twice:
 * peers of this project leave null fields out of their messages, but not of maps inside arrays.
 */
export function encodeKvSession(session: KvSession): Record<string, unknown> {
	return {
		session_id: session.sessionId,
		transfer_backend: session.transferBackend,
		endpoints: session.endpoints.map(({ host, port, protocol }) => ({ host, port, protocol })),
		dp_rank: session.dpRank,
		attributes: session.attributes,
		...(hasNull(session.attributes) ? { exact_attributes: [session.attributes] } : {}),
	};
}

/** In maps that are in no array. */
function hasNull(value: JsonValue): boolean {
	if (typeof value !== "object" || Array.isArray(value)) return false;
	return value === null || Object.values(value).some(hasNull);
}

/**
 * All five fields are required; unknown ones are skipped, so that newer peers may add some.
 * @throws DynError INVALID_ARGUMENT naming what is wrong: an engine that is given a bad session may hang on it
 */
export function decodeKvSession(data: unknown, where = "disaggregated_params"): KvSession {
	const session = new PlainData(data, where);
	const endpoints = session.required("endpoints", session.array("endpoints"));
	const attributes: JsonValue[] = [session.required("attributes", session.raw("attributes")) as JsonValue];
	attributes.unshift(...((session.array("exact_attributes") ?? []) as readonly JsonValue[]));
	for (const each of attributes)
		if (typeof each !== "object" || each === null || Array.isArray(each))
			throw new DynError("INVALID_ARGUMENT", `${where}.attributes must be an object`);
	return {
		sessionId: session.required("session_id", session.string("session_id")),
		transferBackend: session.required("transfer_backend", session.string("transfer_backend")),
		endpoints: endpoints.map((each, i) => {
			const endpoint = new PlainData(each, `${where}.endpoints[${i}]`);
			return {
				host: endpoint.required("host", endpoint.string("host")),
				port: endpoint.required("port", endpoint.unsigned("port", 0xffff)),
				protocol: endpoint.required("protocol", endpoint.string("protocol")),
			};
		}),
		dpRank: session.required("dp_rank", session.unsigned("dp_rank", 0xffff_ffff)),
		attributes: carriable(attributes[0]!, `${where}.attributes`, 0) as KvSession["attributes"],
	};
}

/** With every number as a double, which is all that OpenEngine can carry; one that would come back with other digits is refused. */
function carriable(value: JsonValue, where: string, depth: number): JsonValue {
	if (depth > MAX_DEPTH)
		throw new DynError("INVALID_ARGUMENT", `${where} is nested deeper than ${MAX_DEPTH} levels`);
	if (typeof value === "number" && !Number.isFinite(value))
		throw new DynError("INVALID_ARGUMENT", `${where} is ${value}, but only finite numbers can be carried`);
	if (typeof value === "bigint") {
		const double = Number(value);
		if (String(double) === String(value)) return double;
		throw new DynError(
			"INVALID_ARGUMENT",
			`${where} is ${value}, which would lose digits on its way; say it as a decimal string`,
		);
	}
	if (typeof value !== "object" || value === null) return value;
	if (Array.isArray(value)) return value.map((each, i) => carriable(each, `${where}[${i}]`, depth + 1));
	return Object.fromEntries(
		Object.entries(value).map(([name, each]) => [name, carriable(each, `${where}.${name}`, depth + 1)]),
	);
}
