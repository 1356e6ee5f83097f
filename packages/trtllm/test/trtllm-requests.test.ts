// SPDX-License-Identifier: Apache-2.0
import { createRequestContext, DynError } from "@dyn/common";
import {
	createOpenEngineServer,
	messages,
	type OpenEngineServer,
	type OpenEngineService,
} from "@dyn/openengine";
import { decodePreprocessedRequest } from "@dyn/protocols/dynamo";
import { createTrtllmWorker, type TrtllmWorker } from "@dyn/trtllm";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { CONTEXT_LENGTH, REQUEST_ROWS, type RequestRow, SESSION } from "./trtllm-request-rows.js";

let server: OpenEngineServer;
const workers: Record<string, TrtllmWorker> = {};
let seen: messages.GenerateRequest[] = [];

/** Says of itself what TensorRT-LLM's server does with xgrammar, writes requests down and ends them. */
const service = {
	async *generate(request: messages.GenerateRequest) {
		seen.push(request);
		const { requestId, sampling } = request;
		const usage = { promptTokens: 3, completionTokens: 0, totalTokens: 3 };
		if (request.extra?.["request_type"] === "context_only") {
			yield { requestId, token: { outputIndex: 0, tokens: [{ tokenId: 1 }] } };
			const {
				session_id: sessionId,
				transfer_backend: transferBackend,
				endpoints,
				dp_rank: dpRank,
			} = SESSION;
			yield {
				requestId,
				prefillReady: { kvSession: { sessionId, transferBackend, endpoints, dpRank, attributesStruct: {} } },
				usage,
			};
			return;
		}
		for (let outputIndex = 0; outputIndex < (sampling?.numSequences ?? 1); outputIndex++)
			yield { requestId, finished: { outputIndex, reason: messages.FinishReason.LENGTH }, usage };
	},
	getServerInfo: async () => ({
		engineName: "tensorrt_llm",
		schemaRevision: 1,
		minimumClientRevision: 1,
		supportedModels: ["m"],
		kvConnector: { enabled: true, transferBackend: "NIXL", supportsRemotePrefill: true },
	}),
	getModelInfo: async () => ({
		modelId: "m",
		maxContextLength: CONTEXT_LENGTH,
		generation: {
			outputLogprobs: { supported: true },
			promptLogprobs: { supported: true },
			guidedDecoding: { supported: true, modes: [1, 2, 3, 4, 6] },
			supportsStopInOutput: true,
			supportsCacheSalt: true,
		},
	}),
	health: async () => ({ state: messages.HealthState.READY }),
	getLoad: async () => ({}),
	abort: async () => ({}),
	getKvEventSources: async () => {
		throw new DynError("UNIMPLEMENTED", "no events");
	},
} as unknown as OpenEngineService;

beforeAll(async () => {
	server = await createOpenEngineServer({ service });
	for (const mode of ["agg", "prefill", "decode"] as const)
		workers[mode] = await createTrtllmWorker({
			engine: "trtllm",
			disaggregationMode: mode,
			trtllm: { grpcEndpoint: server.address },
		});
});
beforeEach(() => {
	seen = [];
});
afterAll(async () => {
	for (const worker of Object.values(workers)) await worker.close();
	await server.close();
});

async function run({ mode = "agg", request }: RequestRow): Promise<messages.GenerateRequest | undefined> {
	const decoded = decodePreprocessedRequest({ model: "m", token_ids: [1, 2, 3], ...request });
	for await (const _ of workers[mode]!.generate(decoded, createRequestContext()));
	return seen[0];
}

it.each(REQUEST_ROWS)("$field", async (row) => {
	if (row.sent) expect(await run(row)).toMatchObject(row.sent);
	else {
		const { code, message } = row.refused!;
		await expect(run(row)).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
		expect(seen).toEqual([]);
	}
});

it("is what the reference says", async () => {
	const rows = REQUEST_ROWS.map(({ field, sidecar, ours }) => `| ${field} | ${sidecar} | ${ours} |`);
	const page = `# Requests to TensorRT-LLM

What becomes of each field of Dynamo's \`PreprocessedRequest\` on its way to TensorRT-LLM's OpenEngine server: with Dynamo's
trtllm sidecar of v1.6.0, by its sources, and here. "–" is what we do not know of the sidecar. A request that is refused never
reaches the engine. Generated from \`packages/trtllm/test/trtllm-request-rows.ts\`, whose rows \`trtllm-requests.test.ts\` runs over
real gRPC, against a server that says of itself what TensorRT-LLM's does; nobody has run them against TensorRT-LLM.

| field | Dynamo's sidecar | here |
| --- | --- | --- |
${rows.join("\n")}
`;
	await expect(page).toMatchFileSnapshot("../../../docs/reference/trtllm-requests.md");
});
