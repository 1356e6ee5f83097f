// SPDX-License-Identifier: Apache-2.0
import type * as m from "../generated/messages.js";
import { GrpcStatus } from "../grpc/status.js";
import type { MessageInit } from "../message-init.js";
import { checkStream } from "./stream-rules.js";
import {
	check,
	checkRefused,
	collect,
	requestOf,
	type WireConformanceCase,
	type WireSubject,
} from "./subject.js";

const { INVALID_ARGUMENT, FAILED_PRECONDITION } = GrpcStatus;
const SESSION: MessageInit<m.KvSessionRef> = { sessionId: "0", transferBackend: "none", dpRank: 0 };

/** Prefill and decode apart. */
export const handoffCases: readonly WireConformanceCase[] = [
	{
		name: "prefill: ends with a session, usage on it",
		roles: ["prefill"],
		async run(subject) {
			await prefill(subject);
			return undefined;
		},
	},
	{
		name: "prefill: refuses a session",
		roles: ["prefill"],
		async run(subject) {
			await checkRefused(subject, requestOf(subject, { kv: { session: SESSION } }), [
				INVALID_ARGUMENT,
				FAILED_PRECONDITION,
			]);
			return undefined;
		},
	},
	{
		name: "decode: needs a session",
		roles: ["decode"],
		async run(subject) {
			await checkRefused(subject, requestOf(subject), [INVALID_ARGUMENT, FAILED_PRECONDITION]);
			return undefined;
		},
	},
	{
		name: "decode: refuses a rank that is not the session's",
		roles: ["decode"],
		async run(subject) {
			const request = requestOf(subject, { kv: { session: SESSION } });
			await checkRefused(subject, request, [INVALID_ARGUMENT], { targetDpRank: 1 });
			return undefined;
		},
	},
	{
		name: "handoff: decode goes on from a prefill's session",
		roles: ["aggregated"],
		async run(subject) {
			if (!subject.server.kvConnector?.enabled) return "kv_connector is not enabled";
			const session = await prefill(subject, { extra: { request_type: "context_only" } });
			const request = requestOf(subject, { kv: { session } });
			const responses = await collect(subject, request);
			checkStream(responses, request.requestId!, 1);
			check(responses.at(-1)!.finished !== undefined, "the decode did not finish");
			return undefined;
		},
	},
];

async function prefill(
	subject: WireSubject,
	init: MessageInit<m.GenerateRequest> = {},
): Promise<m.KvSessionRef> {
	const request = requestOf(subject, { ...init, stopping: { maxTokens: 1 } });
	const responses = await collect(subject, request);
	checkStream(responses, request.requestId!, 1);
	const session = responses.at(-1)!.prefillReady?.kvSession;
	check(session !== undefined, "the last response is no PrefillReady with a session");
	check(session.sessionId !== "" || session.attributesStruct !== undefined, "the session names nothing");
	return session;
}
