// SPDX-License-Identifier: Apache-2.0
import { randomUUID } from "node:crypto";
import { createRequestContext, DynError, invalidArgument, linkSignals } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import type * as m from "../generated/messages.js";
import type { MessageInit } from "../message-init.js";
import { fromMetadata } from "../request-metadata.js";
import { ActiveRequests } from "./active-requests.js";
import { loadInfo, modelInfo, serverInfo } from "./describe-engine.js";
import { type EngineServiceOptions, namesOf } from "./engine-service-options.js";
import { fromRequestMessage } from "./generate-request.js";
import { ResponseWriter } from "./generate-response.js";
import { HealthChecks } from "./health-checks.js";
import { KvEventLog } from "./kv-event-log.js";
import { loraService } from "./lora-service.js";
import type { OpenEngineService, ServerCall } from "./service.js";

/** OpenEngine's handlers for a started engine. With KV events the service is their one reader. */
export function engineService(engine: Engine, options: EngineServiceOptions): OpenEngineService {
	const instanceId = options.instanceId ?? randomUUID();
	const names = namesOf(options);
	const active = new ActiveRequests();
	const checks = new HealthChecks(engine, options);
	const events = options.info.capabilities.kvEvents ? new KvEventLog(engine, options.info) : null;
	const checkModel = (model: string): void => {
		if (model === "") throw invalidArgument("model", "the request names no model");
		if (names.includes(model)) return;
		throw new DynError(
			"MODEL_NOT_FOUND",
			`${JSON.stringify(model)} is not served here; ${names.join(", ")} is`,
		);
	};
	return {
		generate(request, call) {
			return generate(engine, options, active, checkModel, request, call);
		},
		getServerInfo: async () => serverInfo(options, instanceId),
		async getModelInfo({ model }) {
			checkModel(model);
			return modelInfo(options);
		},
		getLoad: async ({ includePerRank }) => loadInfo(engine.load(), instanceId, includePerRank),
		health: (request) => checks.check(request),
		abort: async (request) => active.abort(request),
		...loraService(() => engine.lora),
		async getKvEventSources() {
			if (!events) throw withoutEvents();
			const ranks = Array.from({ length: options.info.dpSize }, (_, rank) => rank);
			return {
				sources: ranks.map((dataParallelRank) => ({
					transport: "grpc",
					encoding: "protobuf",
					dataParallelRank,
				})),
			};
		},
		subscribeKvEvents(request, { signal }) {
			if (events) return events.subscribe(request, signal);
			throw withoutEvents();
		},
	};
}

function withoutEvents(): DynError {
	return new DynError("UNIMPLEMENTED", "this engine reports no KV events");
}

/** Until the engine's first output the request is not accepted: a refusal is the call's status. From then on it is an event. */
async function* generate(
	engine: Engine,
	options: EngineServiceOptions,
	active: ActiveRequests,
	checkModel: (model: string) => void,
	request: m.GenerateRequest,
	call: ServerCall,
): AsyncIterable<MessageInit<m.GenerateResponse>> {
	const { requestId, kv } = request;
	if (requestId === "") throw invalidArgument("request_id", "the request has no request_id");
	checkModel(request.model);
	const metadata = fromMetadata((key) => call.metadata(key));
	const own = fromRequestMessage(request, metadata, options.role ?? "aggregated");
	const { maxChoices } = options.info.capabilities;
	if ((own.sampling.n ?? 1) > maxChoices)
		throw invalidArgument(
			"num_sequences",
			`num_sequences is ${own.sampling.n}; this engine gives at most ${maxChoices}`,
		);
	const aborted = active.begin(requestId, kv?.session?.sessionId);
	const { signal, unlink } = linkSignals(call.signal, aborted);
	const context = createRequestContext({
		id: requestId,
		signal,
		...(metadata.trace ? { trace: metadata.trace } : {}),
	});
	const writer = new ResponseWriter(requestId, own.tokenIds, own.sampling.n ?? 1);
	let isAccepted = false;
	try {
		for await (const output of engine.generate(own, context)) {
			isAccepted = true;
			for (const response of writer.write(output)) yield response;
		}
	} catch (error) {
		if (!isAccepted && isRefusal(DynError.from(error))) throw error;
		yield writer.error(error);
	} finally {
		unlink();
		active.end(requestId);
	}
}

/** Whether an engine says by this that it never took the request. */
function isRefusal({ code, httpStatus }: DynError): boolean {
	return httpStatus < 500 || ["UNIMPLEMENTED", "DRAINING", "OVERLOADED", "UNAVAILABLE"].includes(code);
}
