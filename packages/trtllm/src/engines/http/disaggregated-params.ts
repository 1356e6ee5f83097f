// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { JsonValue, KvEndpoint, KvSession } from "@dyn/protocols";
import { wrong } from "../client/answer-reader.js";
import type { JsonObject } from "./http-connection.js";

/** What says the phase, or was for this answer only. */
const NOT_CARRIED: ReadonlySet<string> = new Set(["request_type", "ctx_request_id", "encoded_opaque_state"]);
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * TensorRT-LLM's `disaggregated_params` of a prefill as a session, under the names that its OpenEngine server gives to the
 * same things. Ids of 64 bits become decimal strings: a double cannot carry them.
 * @throws DynError INTERNAL when nobody could fetch KV blocks with it
 */
export function toKvSession(params: JsonObject): KvSession {
	const { ctx_request_id: requestId, disagg_request_id: disaggId, encoded_opaque_state: state } = params;
	const carried = Object.entries(params).filter(([name, value]) => !NOT_CARRIED.has(name) && isGiven(value));
	const attributes: Readonly<Record<string, JsonValue>> = {
		...Object.fromEntries(carried.map(([name, value]) => [name, exact(value as JsonValue)])),
		...(isGiven(disaggId) ? { disagg_request_id: String(disaggId) } : {}),
		...(isGiven(state) ? { opaque_state: state as string } : {}),
	};
	const rank = params["ctx_dp_rank"];
	const session: KvSession = {
		sessionId: isGiven(requestId) ? String(requestId) : "",
		transferBackend: "DEFAULT", // the engine's word for the way that nobody chose; this answer does not say which it is
		endpoints: endpointsOf(attributes["ctx_info_endpoint"]),
		dpRank: typeof rank === "number" ? rank : 0,
		attributes,
	};
	const problem = problemOf(session);
	if (problem) throw wrong(`its disaggregated_params: ${problem}`);
	return session;
}

/**
 * A session as the `disaggregated_params` of a decode request; it may be one of an engine behind OpenEngine.
 * @throws DynError INVALID_ARGUMENT for one that would stall the engine: it looks for the blocks without a limit of time
 */
export function fromKvSession(session: KvSession): JsonObject {
	const problem = problemOf(session);
	if (problem)
		throw invalidArgument("disaggregated_params", `the session of the prefill cannot be used: ${problem}`);
	const { opaque_state: state, disagg_request_id: disaggId, ...others } = session.attributes;
	const [endpoint] = session.endpoints;
	return {
		...(endpoint
			? { ctx_info_endpoint: `${endpoint.protocol || "tcp"}://${endpoint.host}:${endpoint.port}` }
			: {}),
		...others,
		request_type: "generation_only",
		...(session.sessionId === "" ? {} : { ctx_request_id: BigInt(session.sessionId) }),
		...(isGiven(disaggId) ? { disagg_request_id: BigInt(disaggId as string) } : {}),
		...(isGiven(state) ? { encoded_opaque_state: state } : {}),
	};
}

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

/** Why no engine can use it; null when one can. */
function problemOf({ sessionId, endpoints, attributes }: KvSession): string | null {
	const {
		opaque_state: state,
		ctx_info_endpoint: endpoint,
		disagg_request_id: disaggId,
		first_gen_tokens: tokens,
	} = attributes;
	if (sessionId === "" && !isGiven(disaggId))
		return "it has neither an id (ctx_request_id) nor disagg_request_id";
	if (sessionId !== "" && !isU64(sessionId))
		return `its id ${JSON.stringify(sessionId)} is no number of 64 bits`;
	if (isGiven(disaggId) && !isU64(disaggId)) return "disagg_request_id is no decimal string of 64 bits";
	if (!isGiven(state) && !isGiven(endpoint) && endpoints.length === 0)
		return "it has neither opaque_state nor ctx_info_endpoint";
	if (isGiven(state) && !(typeof state === "string" && state.length > 0 && BASE64.test(state)))
		return "opaque_state is no base64";
	if (!(Array.isArray(tokens) && tokens.length > 0 && tokens.every((id) => Number.isInteger(id) && id >= 0)))
		return "first_gen_tokens is no list of token ids";
	return null;
}

function isU64(value: JsonValue | undefined): boolean {
	return typeof value === "string" && /^\d{1,20}$/.test(value) && BigInt(value) < 2n ** 64n;
}

function exact(value: JsonValue): JsonValue {
	if (typeof value === "bigint") return String(value);
	if (typeof value !== "object" || value === null) return value;
	if (Array.isArray(value)) return value.map(exact);
	return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, exact(each)]));
}

/** For people and for routers: engines read `ctx_info_endpoint` itself. */
function endpointsOf(address: JsonValue | undefined): readonly KvEndpoint[] {
	const found = typeof address === "string" ? /^(?:(\w+):\/\/)?(.+):(\d{1,5})\/?$/.exec(address) : null;
	return found ? [{ protocol: found[1] ?? "tcp", host: found[2]!, port: Number(found[3]) }] : [];
}
