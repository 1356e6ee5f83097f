// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import { createGenerateRequest, type EngineOutput, type GenerateRequest } from "@dyn/protocols";
import { decodeKvSession, encodeKvSession } from "@dyn/protocols/dynamo";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { createTrtllmWorker, type TrtllmWorker } from "@dyn/trtllm";
import { afterAll, beforeAll, expect, it } from "vitest";

const prompt = Array.from({ length: 150 }, (_, i) => 1000 + 97 * (i % 11) + i);
const engineArgs = { threads: 1, max_batch_size: 4, kv_cache_config: { num_blocks: 64 } };
const workers: Record<"agg" | "prefill" | "decode", TrtllmWorker> = {} as never;
beforeAll(async () => {
	for (const mode of ["agg", "prefill", "decode"] as const)
		workers[mode] = await createTrtllmWorker({ disaggregationMode: mode, engineArgs });
});
afterAll(async () => {
	for (const worker of Object.values(workers)) await worker.close();
});

async function ask(worker: TrtllmWorker, request: GenerateRequest): Promise<EngineOutput[]> {
	const outputs = [];
	for await (const output of worker.generate(request, createRequestContext())) outputs.push(output);
	return outputs;
}
const tokensOf = (outputs: readonly EngineOutput[], index = 0) =>
	outputs.filter((output) => output.index === index).flatMap(({ tokenIds }) => tokenIds);
const logprobsOf = (outputs: readonly EngineOutput[]) =>
	outputs.flatMap(({ logprobs }) => logprobs ?? []).map(({ logprob }) => logprob);

it.each([
	["greedy", { temperature: 0 }],
	["drawn, two choices", { temperature: 1, seed: 5, n: 2 }],
])("prefill in one worker and decode in another give what one gives alone: %s", async (_, sampling) => {
	const request = createGenerateRequest({
		tokenIds: prompt,
		sampling,
		stop: { maxTokens: 24, ignoreEos: true },
		output: { logprobs: 0 },
	});
	const alone = await ask(workers.agg, request);
	const [prefilled, ...more] = await ask(workers.prefill, request);
	expect(more).toEqual([]);
	expect(prefilled).toMatchObject({ finishReason: "length", kvSession: { transferBackend: "dyn-tcp" } });
	const session = decodeKvSession(parseJson(stringifyJson(encodeKvSession(prefilled!.kvSession!))));
	const decoded = await ask(workers.decode, { ...request, disaggregation: { role: "decode", session } });
	for (let index = 0; index < (sampling.n ?? 1); index++)
		expect(tokensOf(decoded, index)).toEqual(tokensOf(alone, index));
	if (!sampling.n) expect(logprobsOf(decoded)).toEqual(logprobsOf(alone));
	expect(prefilled!.tokenIds).toEqual([tokensOf(alone)[0]]);
	expect(workers.decode.engine.load()[0]).toMatchObject({ activeKvBlocks: 0 });
});

it("a decode worker refuses what is not for it, and does a prefill when told to", async () => {
	const request = createGenerateRequest({
		tokenIds: prompt,
		sampling: { temperature: 0 },
		stop: { maxTokens: 4 },
	});
	await expect(async () => ask(workers.decode, request)).rejects.toThrow("needs the result of a prefill");
	const local = { ...request, routing: { ...request.routing, bypassRemotePrefill: true } };
	expect(tokensOf(await ask(workers.decode, local))).toEqual(tokensOf(await ask(workers.agg, request)));
});
