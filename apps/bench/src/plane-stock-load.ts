// SPDX-License-Identifier: Apache-2.0
import { Agent, request } from "node:http";

export interface HttpLoad {
	/** Requests under way at any time, each over a connection that is kept. */
	readonly concurrency: number;
	/** Tokens of every answer. */
	readonly items: number;
	/** No request begins after this time. */
	readonly seconds: number;
}

export interface HttpLoadResult {
	readonly seconds: number;
	/** From a request to the end of its answer, ms, one per request. */
	readonly answerMs: readonly number[];
}

/** Keeps `concurrency` unary completions under way and checks that every answer has all its tokens. */
export async function runHttpLoad(address: string, model: string, load: HttpLoad): Promise<HttpLoadResult> {
	const agent = new Agent({ keepAlive: true, maxSockets: load.concurrency });
	const body = JSON.stringify({ model, prompt: PROMPT, max_tokens: load.items });
	const answerMs: number[] = [];
	const began = performance.now();
	const end = began + load.seconds * 1000;
	const lane = async () => {
		do {
			const asked = performance.now();
			const { status, text } = await post(`${address}/v1/completions`, agent, body);
			answerMs.push(performance.now() - asked);
			const tokens = status === 200 ? JSON.parse(text).usage?.completion_tokens : null;
			if (tokens !== load.items)
				throw new Error(
					`${model} gave ${tokens} tokens instead of ${load.items}: ${status} ${text.slice(0, 300)}`,
				);
		} while (performance.now() < end);
	};
	try {
		await Promise.all(Array.from({ length: load.concurrency }, lane));
		return { seconds: (performance.now() - began) / 1000, answerMs };
	} finally {
		agent.destroy();
	}
}

/** Resolves when the frontend lists all of `models`. */
export async function untilListed(address: string, models: readonly string[]): Promise<void> {
	for (let tries = 0; tries < 600; tries++) {
		const { data } = (await (await fetch(`${address}/v1/models`)).json()) as { data: { id: string }[] };
		if (models.every((model) => data.some(({ id }) => id === model))) return;
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	throw new Error(`the frontend does not list all of ${models.join(", ")} after 30 s`);
}

const PROMPT = "What a plane costs, the rest being equal, is what this asks again and again. ".repeat(8);

function post(url: string, agent: Agent, body: string): Promise<{ status: number; text: string }> {
	return new Promise((resolve, reject) => {
		const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
		const call = request(url, { method: "POST", agent, headers }, (response) => {
			let text = "";
			response.setEncoding("utf8").on("data", (chunk: string) => {
				text += chunk;
			});
			response.on("end", () => resolve({ status: response.statusCode!, text })).on("error", reject);
		});
		call.on("error", reject);
		call.end(body);
	});
}
