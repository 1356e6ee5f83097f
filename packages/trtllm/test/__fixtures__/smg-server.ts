// SPDX-License-Identifier: Apache-2.0
import * as grpc from "@grpc/grpc-js";
import {
	type MessageInit,
	SMG_SERVICE,
	type SmgGenerateRequest,
	type SmgGenerateResponse,
	type SmgModelInfo,
	type SmgTokenLogprob,
} from "@dyn/protocols/smg";
import { TOY, type ToyToken, tick, toyTokens } from "./toy-model.js";

type Response = MessageInit<SmgGenerateResponse>;

export interface SmgTestServer {
	readonly endpoint: string;
	readonly requests: SmgGenerateRequest[];
	/** Ids that it was told to abort. */
	readonly aborted: string[];
	model: MessageInit<SmgModelInfo>;
	health: string;
	/** Answers in place of the toy model. */
	answer: ((request: SmgGenerateRequest) => AsyncIterable<Response | Buffer>) | null;
	/** Whether chunks show the stop token that the end then lacks. */
	showsStopInChunks: boolean;
	close(): Promise<void>;
}

/** TensorRT-LLM's SMG server with a toy model behind it. */
export async function startSmgServer(): Promise<SmgTestServer> {
	const server = new grpc.Server({ "grpc.max_receive_message_length": 32 << 20 });
	const self = {
		requests: [] as SmgGenerateRequest[],
		aborted: [] as string[],
		model: { modelId: "toy", maxInputLen: 999, maxSeqLen: TOY.contextLength, vocabSize: TOY.vocabSize },
		health: "OK",
		answer: null as SmgTestServer["answer"],
		showsStopInChunks: false,
	};
	const { responseSerialize } = SMG_SERVICE.generate;
	const generate = { ...SMG_SERVICE.generate, responseSerialize: (message: Response | Buffer) => (Buffer.isBuffer(message) ? message : responseSerialize(message)) };
	server.addService({ ...SMG_SERVICE, generate } as never, {
		generate: async (call: grpc.ServerWritableStream<SmgGenerateRequest, Response | Buffer>) => {
			self.requests.push(call.request);
			try {
				const { sampling, error } = refusal(call.request);
				if (error) throw Object.assign(new Error(error), { code: grpc.status.INVALID_ARGUMENT });
				for await (const message of (self.answer ?? ((request) => answer(request, sampling, self.showsStopInChunks)))(call.request)) {
					if (call.cancelled || self.aborted.includes(call.request.requestId)) break;
					call.write(message);
				}
				call.end();
			} catch (error) {
				call.emit("error", error);
			}
		},
		healthCheck: (_: unknown, reply: grpc.sendUnaryData<unknown>) => reply(null, { status: self.health }),
		abort: (call: { request: { requestId: string } }, reply: grpc.sendUnaryData<unknown>) => {
			self.aborted.push(call.request.requestId);
			reply(null, { success: true, message: "" });
		},
		getModelInfo: (_: unknown, reply: grpc.sendUnaryData<unknown>) => reply(null, self.model),
		getServerInfo: (_: unknown, reply: grpc.sendUnaryData<unknown>) => reply(null, { version: "1.3.0", backend: "pytorch" }),
	} as never);
	const port = await new Promise<number>((resolve, reject) =>
		server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, bound) => (error ? reject(error) : resolve(bound))),
	);
	return Object.assign(self, { endpoint: `127.0.0.1:${port}`, close: async () => server.forceShutdown() });
}

function refusal({ samplingConfig, maxTokens, embeddingBias }: SmgGenerateRequest) {
	const sampling = samplingConfig!;
	let error: string | null = null;
	if (maxTokens === 0) error = "max_tokens is required";
	if (embeddingBias.length > 0 && embeddingBias.length !== TOY.vocabSize) error = "embedding_bias has a wrong length";
	return { sampling, error };
}

const logprobOf = ({ tokenId, logprob, top }: ToyToken, alternatives: number): SmgTokenLogprob => ({
	tokenId,
	logprob,
	topLogprobs: [...top.slice(0, alternatives)].reverse(), // in no order that could be relied on
});

async function* answer(
	request: SmgGenerateRequest,
	sampling: NonNullable<SmgGenerateRequest["samplingConfig"]>,
	showsStopInChunks: boolean,
): AsyncGenerator<Response> {
	const { tokenized, outputConfig, requestId, streaming, includeStopTokenInOutput } = request;
	const prompt = tokenized!.inputTokenIds;
	const alternatives = outputConfig?.logprobs ?? 0;
	const open = Array.from({ length: sampling.numReturnSequences }, (_, choice) => ({
		choice,
		all: [] as ToyToken[],
		tokens: toyTokens({
			prompt,
			choice,
			maxTokens: request.maxTokens,
			minTokens: sampling.minTokens ?? 0,
			stopTokenIds: request.stopTokenIds,
			ignoreEos: request.ignoreEos,
		}),
	}));
	while (open.length > 0) {
		for (const sequence of [...open]) {
			await tick();
			const token = sequence.tokens.next().value as ToyToken;
			const isHidden = token.finish === "stop" && !includeStopTokenInOutput;
			if (!isHidden) sequence.all.push(token);
			if (streaming && (!isHidden || showsStopInChunks))
				yield {
					requestId,
					chunk: {
						tokenIds: [token.tokenId],
						sequenceIndex: sequence.choice,
						promptTokens: prompt.length,
						completionTokens: sequence.all.length,
						logprobs: alternatives > 0 ? [logprobOf(token, alternatives)] : [],
					},
				};
			if (token.finish === null) continue;
			open.splice(open.indexOf(sequence), 1);
			yield {
				requestId,
				complete: {
					outputTokenIds: sequence.all.map(({ tokenId }) => tokenId),
					sequenceIndex: sequence.choice,
					finishReason: token.finish,
					...(token.finish === "stop" ? { matchedTokenId: token.tokenId } : {}),
					promptTokens: prompt.length,
					completionTokens: sequence.all.length,
					cachedTokens: 32,
					logprobs: alternatives > 0 ? sequence.all.map((each) => logprobOf(each, alternatives)) : [],
					promptLogprobs:
						outputConfig?.promptLogprobs === undefined
							? []
							: prompt.slice(1).map((tokenId, i) => ({ tokenId, logprob: -i - 1, topLogprobs: [{ tokenId, logprob: -i - 1 }] })),
				},
			};
		}
	}
}
