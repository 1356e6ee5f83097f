// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { EngineOutput, GenerateRequest, JsonValue, KvSession, TokenLogprobs } from "@dyn/protocols";

export const TRANSFER_BACKEND = "MOCKER";
export const ENDPOINT_PROTOCOL = "mocker";
const SESSION_PREFIX = "mocker-prefill-";
/** Carried along to see that a fraction survives. */
const TTFT_MS = 12.5;

/** What a simulated prefill tells a simulated decode. */
export interface MockerSession {
	readonly firstToken: number;
	/** Its log-probability and alternatives, when the prefill was asked for them. */
	readonly firstLogprobs: TokenLogprobs | null;
	readonly cachedTokens: number;
}

/**
 * The session in the form of Dynamo's engine double, made so that a relay that loses anything is found out: a string that
 * looks like a number beyond 2^53, a whole double, a fraction and a list.
 * @param requestId a u64
 */
export function encodeSession(
	requestId: bigint,
	request: GenerateRequest,
	output: EngineOutput,
	dpRank: number,
): KvSession {
	const logprobs = output.logprobs?.[0];
	return {
		sessionId: SESSION_PREFIX + requestId,
		transferBackend: TRANSFER_BACKEND,
		endpoints: [{ host: "127.0.0.1", port: 5600, protocol: ENDPOINT_PROTOCOL }],
		dpRank,
		attributes: {
			mocker_request_id: requestId.toString(),
			mocker_prompt_tokens: request.tokenIds.length,
			mocker_ttft_ms: TTFT_MS,
			mocker_first_gen_tokens: output.tokenIds,
			mocker_cached_tokens: output.usage?.cachedTokens ?? 0,
			...(logprobs ? { mocker_first_gen_log_probs: [pairs(logprobs)] } : {}),
		},
	};
}

function pairs({ tokenId, logprob, top }: TokenLogprobs): JsonValue {
	return [[tokenId, logprob], ...top.map((each) => [each.tokenId, each.logprob])];
}

/** @throws DynError INVALID_ARGUMENT for a session that a relay changed, or that belongs to another prompt or engine */
export function decodeSession(session: KvSession, request: GenerateRequest): MockerSession {
	const { sessionId, transferBackend, endpoints, attributes } = session;
	const refuse = (what: string) =>
		invalidArgument("disaggregated_params", `session ${JSON.stringify(sessionId)} ${what}`);
	if (transferBackend !== TRANSFER_BACKEND)
		throw refuse(`is moved by ${JSON.stringify(transferBackend)}, not ${TRANSFER_BACKEND}`);
	if (endpoints.length !== 1 || endpoints[0]!.protocol !== ENDPOINT_PROTOCOL)
		throw refuse(`needs exactly one endpoint of protocol ${ENDPOINT_PROTOCOL}`);
	const requestId = attributes["mocker_request_id"];
	if (typeof requestId !== "string" || sessionId !== SESSION_PREFIX + requestId)
		throw refuse(`is not that of mocker_request_id ${JSON.stringify(requestId)}, a string`);
	if (attributes["mocker_prompt_tokens"] !== request.tokenIds.length)
		throw refuse(
			`is the prefill of ${JSON.stringify(attributes["mocker_prompt_tokens"])} tokens, but the prompt has ${request.tokenIds.length}`,
		);
	if (attributes["mocker_ttft_ms"] !== TTFT_MS)
		throw refuse(
			`has mocker_ttft_ms ${JSON.stringify(attributes["mocker_ttft_ms"])}, but ${TTFT_MS} was sent`,
		);
	const tokens = attributes["mocker_first_gen_tokens"];
	if (!Array.isArray(tokens) || tokens.length !== 1 || !Number.isSafeInteger(tokens[0]))
		throw refuse("needs mocker_first_gen_tokens with one token id");
	const cachedTokens = attributes["mocker_cached_tokens"];
	if (!Number.isSafeInteger(cachedTokens)) throw refuse("needs mocker_cached_tokens, a whole number");
	const firstLogprobs = decodeLogprobs(attributes["mocker_first_gen_log_probs"]);
	if (request.output.logprobs !== null && !firstLogprobs)
		throw refuse("has no log-probabilities of its first token; ask the prefill for those of the decode");
	return { firstToken: tokens[0] as number, firstLogprobs, cachedTokens: cachedTokens as number };
}

function decodeLogprobs(value: JsonValue | undefined): TokenLogprobs | null {
	if (!Array.isArray(value) || !Array.isArray(value[0])) return null;
	const [chosen, ...top] = (value[0] as [number, number][]).map(([tokenId, logprob]) => ({
		tokenId,
		logprob,
	}));
	return chosen ? { ...chosen, top } : null;
}
