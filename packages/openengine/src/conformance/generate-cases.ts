// SPDX-License-Identifier: Apache-2.0
import * as m from "../generated/messages.js";
import { checkStream, checkUsage } from "./stream-rules.js";
import { check, collect, prompt, requestOf, tokensOf, type WireConformanceCase } from "./subject.js";

const AGGREGATED = ["aggregated"] as const;

/** What a generation looks like. */
export const generateCases: readonly WireConformanceCase[] = [
	{
		name: "generate: deltas, one end, usage last",
		roles: AGGREGATED,
		async run(subject) {
			const request = requestOf(subject);
			const responses = await collect(subject, request);
			checkStream(responses, request.requestId!, 1);
			checkUsage(responses, 24);
			const tokens = tokensOf(responses).length;
			check(tokens === 8, `max_tokens 8 with ignore_eos gave ${tokens} tokens`);
			check(responses.at(-1)!.finished?.reason === m.FinishReason.LENGTH, "did not finish with LENGTH");
			return undefined;
		},
	},
	{
		name: "generate: greedy is deterministic, in company too",
		roles: AGGREGATED,
		async run(subject) {
			const ask = async () =>
				tokensOf(await collect(subject, requestOf(subject, { tokenIds: { ids: prompt(2) } }))).map(
					({ tokenId }) => tokenId,
				);
			const alone = await ask();
			const together = await Promise.all([1, 2, 3, 4].map(ask));
			for (const tokens of together)
				check(String(tokens) === String(alone), "equal greedy requests got different tokens");
			return undefined;
		},
	},
	{
		name: "generate: several sequences, usage over all",
		roles: AGGREGATED,
		async run(subject) {
			const most = subject.modelInfo.generation?.maxNumSequences ?? 1;
			if (most < 2) return "max_num_sequences is below 2";
			const sampling = { temperature: 1, seed: 7n, numSequences: 2 };
			const request = requestOf(subject, { sampling });
			const responses = await collect(subject, request);
			checkStream(responses, request.requestId!, 2);
			checkUsage(responses, 24);
			for (const index of [0, 1])
				check(tokensOf(responses, index).length === 8, `output ${index} has not 8 tokens`);
			return undefined;
		},
	},
	{
		name: "generate: ends at a stop id and says which",
		roles: AGGREGATED,
		async run(subject) {
			const tokenIds = { ids: prompt(3) };
			const free = tokensOf(await collect(subject, requestOf(subject, { tokenIds }))).map(
				({ tokenId }) => tokenId,
			);
			const stopTokenId = free[4]!;
			const expected = free.slice(0, free.indexOf(stopTokenId));
			const request = requestOf(subject, { tokenIds, stopping: { conditions: [{ stopTokenId }] } });
			const responses = await collect(subject, request);
			checkStream(responses, request.requestId!, 1);
			const tokens = tokensOf(responses).map(({ tokenId }) => tokenId);
			check(
				String(tokens) === String(expected),
				`tokens before the stop id ${stopTokenId} are [${tokens}], not [${expected}]`,
			);
			const { reason, stopMatch } = responses.at(-1)!.finished!;
			check(reason === m.FinishReason.STOP, `finished with reason ${reason}, not STOP`);
			check(stopMatch?.stopTokenId === stopTokenId, "stop_match does not name the stop id");
			return undefined;
		},
	},
	{
		name: "generate: a stop id stays in the output when asked for",
		roles: AGGREGATED,
		async run(subject) {
			if (!subject.modelInfo.generation?.supportsStopInOutput) return "supports_stop_in_output is not set";
			const tokenIds = { ids: prompt(3) };
			const free = tokensOf(await collect(subject, requestOf(subject, { tokenIds }))).map(
				({ tokenId }) => tokenId,
			);
			const stopTokenId = free[4]!;
			const stopping = { conditions: [{ stopTokenId }], includeStopInOutput: true };
			const responses = await collect(subject, requestOf(subject, { tokenIds, stopping }));
			check(tokensOf(responses).at(-1)?.tokenId === stopTokenId, "the stop id is not the last token");
			return undefined;
		},
	},
	{
		name: "logprobs: as many candidates as asked for, and none unasked",
		roles: AGGREGATED,
		async run(subject) {
			const plain = tokensOf(await collect(subject, requestOf(subject)));
			check(
				plain.every(({ logprob, candidates }) => logprob === undefined && candidates.length === 0),
				"log-probabilities came unasked",
			);
			if (!subject.modelInfo.generation?.outputLogprobs?.supported) return "output_logprobs is not supported";
			const response = { returnOutputLogprobs: true, outputCandidates: { topN: 2 } };
			const tokens = tokensOf(await collect(subject, requestOf(subject, { response })));
			for (const { logprob, candidates } of tokens) {
				check(
					logprob !== undefined && Number.isFinite(logprob) && logprob <= 1e-5,
					`a token has logprob ${logprob}`,
				);
				check(candidates.length >= 2, `${candidates.length} candidates for top_n 2`);
			}
			return undefined;
		},
	},
	{
		name: "logprobs: of the prompt, once, none for its first token",
		roles: AGGREGATED,
		async run(subject) {
			if (!subject.modelInfo.generation?.promptLogprobs?.supported) return "prompt_logprobs is not supported";
			const response = { returnPromptLogprobs: true, promptCandidates: { topN: 1 } };
			const request = requestOf(subject, { response });
			const responses = await collect(subject, request);
			checkStream(responses, request.requestId!, 1);
			const tokens = responses[0]?.prompt?.tokens;
			check(tokens !== undefined, "no PromptOutput came");
			check(
				String(tokens.map(({ tokenId }) => tokenId)) === String(prompt(1)),
				"PromptOutput is not the prompt",
			);
			const [first, ...others] = tokens;
			check(
				first!.logprob === undefined && first!.candidates.length === 0,
				"the first prompt token has a log-probability",
			);
			check(
				others.every(({ logprob }) => logprob !== undefined),
				"a prompt token has no log-probability",
			);
			return undefined;
		},
	},
	{
		name: "trace context is taken",
		roles: AGGREGATED,
		async run(subject) {
			const trace = {
				traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
				tracestate: "dyn=1",
			};
			await collect(subject, requestOf(subject), { trace });
			await subject.client.getServerInfo({}, { trace });
			return undefined;
		},
	},
];
