// SPDX-License-Identifier: Apache-2.0
// Our worker with an engine like Dynamo's mocker:   node plane-stock-worker.js <store folder> <model folder> <model name>
// It runs until its standard input ends; the first line that it writes says that it can be found.
import { describeModelFiles } from "@dyn/models";
import type { EngineOutput, GenerateRequest } from "@dyn/protocols";
import { generateCodec } from "@dyn/protocols/dynamo";
import { createRuntime } from "@dyn/runtime";
import { createFileStore } from "@dyn/runtime/file";
import { createTcpPlane } from "@dyn/runtime/tcp";

const [directory, modelFolder, name] = process.argv.slice(2) as [string, string, string];
const discovery = createFileStore({ directory });
const runtime = await createRuntime({ discovery, requestPlanes: [createTcpPlane()] });
const served = await runtime.endpoint(`dynamo.${name}.generate`).serve(answer, { codec: generateCodec });
await runtime.models.publish(
	{
		name,
		source: modelFolder,
		tokenizerPath: modelFolder,
		files: await describeModelFiles(modelFolder, modelFolder),
		chatTemplatePath: null,
		endpointTypes: ["chat", "completions"],
		contextLength: 8192,
		kvBlockSize: 32,
		totalKvBlocks: 16_384,
		maxNumSeqs: 256,
		maxNumBatchedTokens: 8192,
		dpSize: 1,
		eosTokenIds: [2],
		logitsProcessors: [],
		logprobs: false,
		maxChoices: 1,
		localPrefill: false,
		workerType: "aggregated",
		needs: [],
		createdSeconds: Math.floor(Date.now() / 1000),
	},
	served.instance,
);
console.log("ready");
for await (const _ of process.stdin);
await runtime.close();
await discovery.close();

/** As the mocker: an item per token, ids from 1000, then an item without tokens that says why it ended; usage first and last. */
async function* answer(request: unknown): AsyncGenerator<EngineOutput, void> {
	const { tokenIds, stop } = request as GenerateRequest;
	const maxTokens = stop.maxTokens ?? 1;
	for (let made = 0; made <= maxTokens; made++) {
		const isLast = made === maxTokens;
		yield {
			index: 0,
			tokenIds: isLast ? [] : [1000 + (made % 1000)],
			logprobs: null,
			finishReason: isLast ? "length" : null,
			stopTokenId: null,
			usage:
				isLast || made === 0
					? { promptTokens: tokenIds.length, completionTokens: made, cachedTokens: 0 }
					: null,
		};
	}
}
