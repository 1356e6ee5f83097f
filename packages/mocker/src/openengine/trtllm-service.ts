// SPDX-License-Identifier: Apache-2.0
import { DynError, invalidArgument, linkSignals } from "@dyn/common";
import type { Engine, EngineInfo } from "@dyn/engine";
import {
	engineService,
	type MessageInit,
	messages as m,
	type OpenEngineService,
	type ServerCall,
} from "@dyn/openengine";
import { applyRequestRules } from "./request-rules.js";
import { inBursts, withSlowReaderLimit } from "./response-rules.js";
import type { TrtllmQuirks } from "./trtllm-quirks.js";
import { toTrtllmSession } from "./trtllm-session.js";

type Response = MessageInit<m.GenerateResponse>;

export interface TrtllmServiceOptions {
	/** What the engine's `start` returned. */
	readonly info: EngineInfo;
	readonly quirks: TrtllmQuirks;
	readonly role: "aggregated" | "prefill" | "decode";
	readonly servedModelName?: string | undefined;
	/** Of ServerInfo. */
	readonly version: string;
	/** What GetKvEventSources answers, in spite of `noKvEvents`; Subscribe stays UNIMPLEMENTED. */
	readonly kvEventSources?: readonly MessageInit<m.KvEventSource>[] | undefined;
}

/** OpenEngine's handlers as TensorRT-LLM has them, as far as the quirks say so. */
export function trtllmService(engine: Engine, options: TrtllmServiceOptions): OpenEngineService {
	const { info, quirks, role, version: engineVersion, servedModelName, kvEventSources } = options;
	const own = engineService(engine, {
		info: quirks.noKvEvents ? withoutKvEvents(info) : info,
		role: quirks.unspecifiedRole ? "aggregated" : role,
		servedModelName,
		engineName: "tensorrt_llm",
		engineVersion,
	});
	let running = 0;
	return {
		...own,
		async *generate(request, call) {
			const rewritten = applyRequestRules(request, call, quirks, info.model);
			const abort = new AbortController();
			const { signal, unlink } = linkSignals(call.signal, abort.signal);
			running++;
			try {
				let responses = own.generate(rewritten, { ...callOf(call), signal }) as AsyncIterable<Response>;
				if (quirks.stopTextBurst > 0 && hasStopText(request))
					responses = inBursts(responses, quirks.stopTextBurst);
				if (quirks.slowReaderMs > 0)
					responses = withSlowReaderLimit(
						responses,
						quirks.slowReaderMs,
						() => stalled(request),
						() => abort.abort(),
					);
				for await (const response of responses) yield quirks.strictHandoff ? withSession(response) : response;
			} finally {
				unlink();
				running--;
			}
		},
		async getServerInfo(request, call) {
			const answer = await own.getServerInfo(request, call);
			return {
				...answer,
				...(quirks.unspecifiedRole ? { engineRole: m.EngineRole.UNSPECIFIED } : {}),
				...(quirks.strictHandoff ? { kvConnector: CONNECTOR } : {}),
				...(quirks.noExtra ? { extra: undefined } : {}),
			};
		},
		async getModelInfo(request, call) {
			if (request.model === "") throw invalidArgument("model", "the request names no model");
			const answer = await own.getModelInfo(quirks.anyModel ? { model: info.model } : request, call);
			return {
				...answer,
				...(quirks.noContextLength ? { maxContextLength: undefined } : {}),
				...(quirks.noExtra ? { extra: undefined } : {}),
				...(quirks.fewFeatures
					? {
							supportsLora: false,
							supportsMultimodal: false,
							generation: { ...answer.generation, supportsPriority: false },
						}
					: {}),
			};
		},
		async getLoad(request, call) {
			return quirks.littleLoad ? { runningRequests: running } : own.getLoad(request, call);
		},
		async abort(request, call) {
			if (quirks.noAbortBySession && request.kvSession !== undefined)
				throw new DynError("UNIMPLEMENTED", "abort by kv_session is not supported");
			try {
				return await own.abort(request, call);
			} catch (error) {
				if (!quirks.unknownAbortIsFinished || !DynError.is(error, "NOT_FOUND")) throw error;
				return { status: m.AbortStatus.ALREADY_FINISHED };
			}
		},
		async getKvEventSources(request, call) {
			return kvEventSources ? { sources: kvEventSources } : own.getKvEventSources(request, call);
		},
	};
}

const CONNECTOR: MessageInit<m.KvConnectorInfo> = {
	enabled: true,
	transferBackend: "DEFAULT",
	supportsRemotePrefill: true,
	supportsDecodePull: false,
	supportsAbortCleanup: false,
};

function callOf(call: ServerCall): Pick<ServerCall, "metadata"> {
	return { metadata: (key) => call.metadata(key) };
}

function withoutKvEvents(info: EngineInfo): EngineInfo {
	return { ...info, capabilities: { ...info.capabilities, kvEvents: false } };
}

function hasStopText({ stopping }: m.GenerateRequest): boolean {
	return (stopping?.conditions ?? []).some(({ stopText }) => stopText !== undefined);
}

function withSession(response: Response): Response {
	const session = response.prefillReady?.kvSession;
	return session ? { ...response, prefillReady: { kvSession: toTrtllmSession(session) } } : response;
}

function stalled({ requestId }: m.GenerateRequest): Response {
	const message = "a response was not read in time; the request was aborted";
	return { requestId, error: { code: m.ErrorCode.OVERLOADED, message, retryable: true } };
}
