// SPDX-License-Identifier: Apache-2.0
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { parseJson, stringifyJson } from "@dyn/protocols/json";
import { TOY, type ToyToken, tick, toyTokens } from "./toy-model.js";

// biome-ignore lint/suspicious/noExplicitAny: bodies of any form
type Body = any;

export interface HttpTestServer {
	readonly endpoint: string;
	/** Method and path of every request. */
	readonly log: string[];
	readonly bodies: Body[];
	/** Opened so far. */
	connections: number;
	/** Completions whose reader went away. */
	abandoned: number;
	/** Answers in place of the toy; returns whether it did. */
	answer: ((request: IncomingMessage, response: ServerResponse, body: Body) => boolean) | null;
	metrics: unknown[];
	status: number;
	close(): Promise<void>;
}

/** Ids beyond 2^53, and state, as a prefill hands them out. */
export const HANDOFF = {
	ctx_request_id: 18_446_744_073_709_551_557n,
	disagg_request_id: 9_007_199_254_740_993n,
	encoded_opaque_state: "AAEC/w==",
	ctx_dp_rank: 1,
	ctx_info_endpoint: "tcp://10.0.0.7:4711",
	schedule_style: 0,
	first_gen_log_probs: [[[17, -0.5, 1]]],
};
const KNOWN = new Set(
	"model prompt detokenize stream stream_options max_tokens min_tokens n temperature top_p top_k min_p presence_penalty frequency_penalty repetition_penalty seed logit_bias use_beam_search best_of length_penalty stop_token_ids include_stop_str_in_output ignore_eos logprobs response_format lora_request priority conversation_params disaggregated_params".split(
		" ",
	),
);

/** trtllm-serve's OpenAI-compatible server with a toy model behind it. */
export async function startHttpServer(): Promise<HttpTestServer> {
	const self = {
		log: [] as string[],
		bodies: [] as Body[],
		connections: 0,
		abandoned: 0,
		answer: null as HttpTestServer["answer"],
		metrics: [] as unknown[],
		status: 200,
	};
	const server = createServer((request, response) => {
		void (async () => {
			let text = "";
			for await (const part of request) text += part;
			const body = text === "" ? null : (parseJson(text) as Body);
			self.log.push(`${request.method} ${request.url}`);
			if (body) self.bodies.push(body);
			const json = (value: unknown, status = 200) => response.writeHead(status, { "content-type": "application/json" }).end(stringifyJson(value));
			if (self.answer?.(request, response, body)) return;
			if (request.url === "/health") return response.writeHead(self.status).end();
			if (request.url === "/version") return json({ version: "1.3.0" });
			if (request.url === "/v1/models") return json({ object: "list", data: [{ id: "toy" }] });
			if (request.url === "/metrics") return json(self.metrics.splice(0));
			if (request.url !== "/v1/completions") return json({ detail: "Not Found" }, 404);
			const strange = Object.keys(body).find((name) => !KNOWN.has(name));
			if (strange) return json({ object: "error", message: `extra field ${strange}`, code: 400 }, 400);
			response.on("close", () => {
				if (!response.writableFinished) self.abandoned++;
			});
			if (!body.stream) return json(await whole(body));
			response.writeHead(200, { "content-type": "text/event-stream" });
			for await (const event of stream(body)) {
				if (response.destroyed) return;
				response.write(`data: ${stringifyJson(event)}\n\n`);
			}
			response.end("data: [DONE]\n\n");
		})();
	});
	server.on("connection", () => self.connections++);
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	return Object.assign(self, {
		endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
		close: async () => {
			server.closeAllConnections();
			await new Promise((resolve) => server.close(resolve));
		},
	});
}

function open(body: Body): { choice: number; tokens: Iterator<ToyToken> }[] {
	return Array.from({ length: body.n }, (_, choice) => ({
		choice,
		tokens: toyTokens({
			prompt: body.prompt,
			choice,
			maxTokens: body.max_tokens,
			minTokens: body.min_tokens ?? 0,
			stopTokenIds: body.stop_token_ids,
			ignoreEos: body.ignore_eos,
		}),
	}));
}

function choiceOf(body: Body, index: number, token: ToyToken): Body {
	const isHidden = token.finish === "stop" && !body.include_stop_str_in_output;
	const isStop = token.finish === "stop" && token.tokenId !== TOY.eosTokenId;
	return {
		index,
		text: "",
		token_ids: isHidden ? [] : [token.tokenId],
		logprobs: body.logprobs && !isHidden ? { tokens: ["x"], token_logprobs: [token.logprob], top_logprobs: [{ x: -1 }], text_offset: [0] } : null,
		finish_reason: token.finish,
		stop_reason: isStop ? token.tokenId : null,
		disaggregated_params: null,
	};
}

const usageOf = (body: Body, count: number): Body => ({
	prompt_tokens: body.prompt.length,
	completion_tokens: count,
	total_tokens: body.prompt.length + count,
	prompt_tokens_details: { cached_tokens: 1 },
});

async function* stream(body: Body): AsyncGenerator<Body> {
	const running = open(body);
	let count = 0;
	while (running.length > 0)
		for (const each of [...running]) {
			await tick();
			const token = each.tokens.next().value as ToyToken;
			count++;
			yield { id: "c", object: "text_completion", model: body.model, choices: [choiceOf(body, each.choice, token)] };
			if (token.finish) running.splice(running.indexOf(each), 1);
		}
	yield { id: "c", object: "text_completion", model: body.model, choices: [], usage: usageOf(body, count) };
}

async function whole(body: Body): Promise<Body> {
	const choices = [];
	for (const { choice, tokens } of open(body)) {
		const all: Body[] = [];
		for (let next = tokens.next(); !next.done; next = tokens.next()) all.push(choiceOf(body, choice, next.value));
		const last = all.at(-1);
		choices.push({
			...last,
			token_ids: all.flatMap(({ token_ids }) => token_ids),
			logprobs: body.logprobs ? { token_logprobs: all.flatMap(({ logprobs }) => logprobs?.token_logprobs ?? []) } : null,
			...(body.disaggregated_params?.request_type === "context_only" && last.finish_reason === "length"
				? {
						finish_reason: "not_finished",
						disaggregated_params: { request_type: "context_only", first_gen_tokens: last.token_ids, draft_tokens: null, ...HANDOFF },
					}
				: {}),
		});
	}
	return { id: "c", object: "text_completion", choices, usage: usageOf(body, 1) };
}
