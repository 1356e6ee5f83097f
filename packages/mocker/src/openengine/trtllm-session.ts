// SPDX-License-Identifier: Apache-2.0
import { randomBytes } from "node:crypto";
import { invalidArgument } from "@dyn/common";
import type { MessageInit, messages } from "@dyn/openengine";

const BACKEND = "DEFAULT";
const DECIMAL = /^\d{1,20}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** An engine's session as TensorRT-LLM writes it (its grpc/openengine/disagg.py); the engine's own lies in `opaque_state`. */
export function toTrtllmSession(own: MessageInit<messages.KvSessionRef>): MessageInit<messages.KvSessionRef> {
	const requestId = randomBytes(8).readBigUInt64BE().toString();
	const { host = "127.0.0.1", port = 5600 } = own.endpoints?.[0] ?? {};
	const first =
		own.attributesStruct?.["mocker_first_gen_tokens"] ?? own.attributesStruct?.["first_gen_tokens"];
	return {
		sessionId: requestId,
		transferBackend: BACKEND,
		dpRank: own.dpRank ?? 0,
		endpoints: [{ host, port, protocol: "tcp" }],
		attributesStruct: {
			ctx_info_endpoint: `tcp://${host}:${port}`,
			opaque_state: Buffer.from(JSON.stringify(own)).toString("base64"),
			first_gen_tokens: first ?? [],
			disagg_request_id: requestId,
			ctx_dp_rank: own.dpRank ?? 0,
			schedule_style: 0,
		},
	};
}

/**
 * The engine's session again, after the checks that protect the engine: it would wait for a bad address without a timeout.
 * @throws DynError INVALID_ARGUMENT naming what is wrong
 */
export function fromTrtllmSession(session: messages.KvSessionRef): messages.KvSessionRef {
	const refuse = (what: string) => invalidArgument("kv.session", `the handoff ${what}`);
	const attributes = session.attributesStruct ?? {};
	const { ctx_info_endpoint: endpoint, opaque_state: state, disagg_request_id: requestId } = attributes;
	if (session.endpoints.length === 0 && endpoint === undefined && state === undefined)
		throw refuse("has neither an endpoint nor an opaque_state");
	if (session.endpoints.some(({ host, port }) => host === "" || port === 0))
		throw refuse("has an endpoint without host or port");
	if (endpoint !== undefined && !(typeof endpoint === "string" && /.:\d+$/.test(endpoint)))
		throw refuse("has a ctx_info_endpoint that is no address");
	if (session.sessionId === "" && requestId === undefined)
		throw refuse("has neither session_id nor disagg_request_id");
	if (session.sessionId !== "" && !DECIMAL.test(session.sessionId))
		throw refuse(`has the session_id ${JSON.stringify(session.sessionId)}, which is no integer`);
	if (requestId !== undefined && !(typeof requestId === "string" && DECIMAL.test(requestId)))
		throw refuse("has a disagg_request_id that is no decimal string");
	if (typeof state !== "string" || !BASE64.test(state)) throw refuse("has an opaque_state that is no base64");
	const rank = attributes["ctx_dp_rank"];
	if (rank !== undefined && !Number.isInteger(rank)) throw refuse("has a ctx_dp_rank that is no integer");
	const tokens = attributes["first_gen_tokens"];
	if (!Array.isArray(tokens) || !tokens.every(Number.isInteger))
		throw refuse("has first_gen_tokens that are no list of integers");
	try {
		return JSON.parse(Buffer.from(state, "base64").toString()) as messages.KvSessionRef;
	} catch {
		throw refuse("has an opaque_state that this engine did not write");
	}
}
