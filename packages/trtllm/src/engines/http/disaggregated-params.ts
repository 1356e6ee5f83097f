// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { JsonValue, KvEndpoint, KvSession } from "@dyn/protocols";
import { wrong } from "../client/answer-reader.js";
import type { JsonObject } from "./http-connection.js";

/** What says the phase, or was for this answer only. */
const NOT_CARRIED: ReadonlySet<string> = new Set(["request_type", "ctx_request_id", "encoded_opaque_state"]);
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
const DECIMAL = /^\d{1,20}$/;

/**
 * TensorRT-LLM's `disaggregated_params` of a prefill as a session, under the names that its OpenEngine server gives to the
 * same things. Ids of 64 bits become decimal strings: a double cannot carry them.
 * @throws DynError INTERNAL when nobody could fetch KV blocks with it
 */
export function toKvSession(params: JsonObject): KvSession {
	const carried = Object.entries(params).filter(
		([name, value]) => !NOT_CARRIED.has(name) && value !== null && value !== undefined,
	);
	const attributes: Record<string, JsonValue> = Object.fromEntries(
		carried.map(([name, value]) => [name, exact(value as JsonValue)]),
	);
	const {
		ctx_request_id: requestId,
		encoded_opaque_state: state,
		disagg_request_id: disaggId,
		ctx_dp_rank: rank,
	} = params;
	if (disaggId !== null && disaggId !== undefined) attributes["disagg_request_id"] = String(disaggId);
	if (state !== null && state !== undefined) attributes["opaque_state"] = state as string;
	const id = requestId ?? disaggId;
	if (id === null || id === undefined)
		throw wrong("its disaggregated_params have neither ctx_request_id nor disagg_request_id");
	const session: KvSession = {
		sessionId: String(id),
		transferBackend: "trtllm",
		endpoints: endpointsOf(attributes["ctx_info_endpoint"]),
		dpRank: typeof rank === "number" ? rank : 0,
		attributes,
	};
	const problem = problemOf(session);
	if (problem) throw wrong(`its disaggregated_params: ${problem}`);
	return session;
}

/**
 * A session as the `disaggregated_params` of a decode request.
 * @throws DynError INVALID_ARGUMENT for one that would stall the engine: it looks for the blocks without a limit of time
 */
export function fromKvSession(session: KvSession): JsonObject {
	const problem = problemOf(session);
	if (problem)
		throw invalidArgument("disaggregated_params", `the session of the prefill cannot be used: ${problem}`);
	const { opaque_state: state, disagg_request_id: disaggId, ...others } = session.attributes;
	return {
		...others,
		request_type: "generation_only",
		ctx_request_id: BigInt(session.sessionId),
		...(disaggId === undefined ? {} : { disagg_request_id: BigInt(disaggId as string) }),
		...(state === undefined ? {} : { encoded_opaque_state: state }),
	};
}

/** Why no engine can use it; null when one can. */
function problemOf({ sessionId, attributes }: KvSession): string | null {
	const {
		opaque_state: state,
		ctx_info_endpoint: endpoint,
		disagg_request_id: disaggId,
		first_gen_tokens: tokens,
	} = attributes;
	if (!DECIMAL.test(sessionId)) return `its id ${JSON.stringify(sessionId)} is no decimal number`;
	if (disaggId !== undefined && !(typeof disaggId === "string" && DECIMAL.test(disaggId)))
		return "disagg_request_id is no decimal string";
	if (state === undefined && endpoint === undefined)
		return "it has neither opaque_state nor ctx_info_endpoint";
	if (state !== undefined && !(typeof state === "string" && state.length > 0 && BASE64.test(state)))
		return "opaque_state is no base64";
	if (!(Array.isArray(tokens) && tokens.length > 0 && tokens.every((id) => Number.isInteger(id) && id >= 0)))
		return "first_gen_tokens is no list of token ids";
	return null;
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
