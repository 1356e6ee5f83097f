// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { JsonValue, KvSession } from "@dyn/protocols";

/** Labels that TensorRT-LLM gives to its ways of moving KV blocks (`cache_transceiver_config.backend`). */
const TRANSCEIVERS: ReadonlySet<string> = new Set(["DEFAULT", "UCX", "NIXL", "MOONCAKE", "MPI"]);

const isDecimal = (value: JsonValue | undefined) => typeof value === "string" && /^\d+$/.test(value);
const isUint = (value: JsonValue) => typeof value === "number" && Number.isInteger(value) && value >= 0;
const isTokens = (value: JsonValue) => Array.isArray(value) && value.every(isUint);
const isBase64 = (value: JsonValue) =>
	typeof value === "string" &&
	value.length > 0 &&
	/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value);
/** "host:port" or "protocol://host:port", port above 0. */
const isAddress = (value: JsonValue) => typeof value === "string" && /[^/:\s]:0*[1-9]\d{0,4}\/?$/.test(value);

/** Attributes of a handoff and what they must be, where they are there; null counts as absent. */
const ATTRIBUTES: Readonly<Record<string, readonly [is: (value: JsonValue) => boolean, what: string]>> = {
	ctx_info_endpoint: [isAddress, "an address with host and port"],
	opaque_state: [isBase64, "base64"],
	disagg_request_id: [isDecimal, "an integer in decimal digits"],
	first_gen_tokens: [isTokens, "a list of token ids"],
	draft_tokens: [isTokens, "a list of token ids"],
	ctx_dp_rank: [isUint, "an integer of at least 0"],
	schedule_style: [(value) => value === 0 || value === 1, "0 or 1"],
	first_gen_log_probs: [Array.isArray, "a list"],
	ctx_usage: [(value) => typeof value === "object" && !Array.isArray(value), "an object"],
};

/**
 * Refuses a handoff that TensorRT-LLM could not use. Its executor takes handoffs without a time limit: one bad address
 * stops the whole engine (TensorRT-LLM's grpc/openengine/disagg.py). Handoffs of other engines are theirs to judge.
 * @throws DynError INVALID_ARGUMENT naming the field
 */
export function checkHandoff({ sessionId, transferBackend, endpoints, attributes }: KvSession): void {
	if (!TRANSCEIVERS.has(transferBackend.toUpperCase())) {
		if (sessionId === "") throw bad("session_id", "is empty");
		return;
	}
	for (const [name, [is, what]] of Object.entries(ATTRIBUTES)) {
		const value = attributes[name];
		if (value !== undefined && value !== null && !is(value))
			throw bad(`attributes.${name}`, `must be ${what}`);
	}
	if (sessionId !== "" && !isDecimal(sessionId))
		throw bad("session_id", "must be an integer in decimal digits");
	if (sessionId === "" && !attributes["disagg_request_id"])
		throw bad("session_id", "is empty, and there is no attributes.disagg_request_id");
	for (const [i, { host, port }] of endpoints.entries())
		if (host === "" || port === 0) throw bad(`endpoints[${i}]`, "has no host or no port");
	if (endpoints.length === 0 && !attributes["ctx_info_endpoint"] && !attributes["opaque_state"])
		throw bad(
			"endpoints",
			"is empty, and there is neither attributes.ctx_info_endpoint nor attributes.opaque_state",
		);
}

function bad(field: string, what: string): DynError {
	return new DynError(
		"INVALID_ARGUMENT",
		`disaggregated_params.${field} ${what}; send what the prefill worker answered, unchanged`,
		{ details: { param: `disaggregated_params.${field}` } },
	);
}
