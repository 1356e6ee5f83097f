// SPDX-License-Identifier: Apache-2.0
import { request } from "node:http";

/** A stream in which nothing comes for so long is given up, ms. */
const SILENCE_MS = 60_000;

export interface CompletionOptions {
	/** The frontend's, on loopback. */
	readonly port: number;
	/** "/v1/completions" or "/v1/chat/completions". */
	readonly path: string;
	/** `stream` and `stream_options` are added; `max_tokens` must be what comes. */
	readonly body: Readonly<Record<string, unknown>> & { readonly max_tokens: number };
	/** Leave with a reset after so many events with text; null reads to the end. */
	readonly leaveAfter: number | null;
}

/** What a client saw of one answer. */
export interface CompletionEnd {
	/** 0 when there was no answer. */
	readonly status: number;
	/** As the server counted; of a stream that was left, the events that came. */
	readonly tokens: number;
	/** Of the prompt, as the server counted; null when it did not say. */
	readonly promptTokens: number | null;
	/** When text came, `performance.now()`. */
	readonly textsMs: readonly number[];
	readonly left: boolean;
	/** Null when there is nothing to complain of. */
	readonly error: string | null;
	/** `performance.now()`. */
	readonly beganMs: number;
	readonly endedMs: number;
}

/** Streams one answer over a connection of its own. Never rejects. */
export function streamCompletion({
	port,
	path,
	body,
	leaveAfter,
}: CompletionOptions): Promise<CompletionEnd> {
	const beganMs = performance.now();
	let status = 0;
	let events = 0;
	let usage: number | null = null;
	let promptTokens: number | null = null;
	const textsMs: number[] = [];
	let isDone = false;
	let left = false;
	let error: string | null = null;

	function take(event: string): void {
		if (event === "data: [DONE]") isDone = true;
		else if (event.startsWith("data: ")) {
			const data = JSON.parse(event.slice(6));
			if (data.error) error ??= `error in the stream: ${data.error.message}`;
			usage = data.usage?.completion_tokens ?? usage;
			promptTokens = data.usage?.prompt_tokens ?? promptTokens;
			if (data.choices?.length) events++;
			if (data.choices?.[0]?.text || data.choices?.[0]?.delta?.content) textsMs.push(performance.now());
		}
	}

	return new Promise((resolve) => {
		const finish = () => {
			if (!left && !error) {
				if (!isDone) error = "the stream broke off";
				else if (usage !== body.max_tokens) error = "other than the asked number of tokens";
			}
			const tokens = usage ?? events;
			resolve({ status, tokens, promptTokens, textsMs, left, error, beganMs, endedMs: performance.now() });
		};
		const call = request(
			{
				host: "127.0.0.1",
				port,
				path,
				method: "POST",
				agent: false,
				headers: { "content-type": "application/json" },
			},
			(response) => {
				status = response.statusCode!;
				let rest = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					const parts = (rest + chunk).split("\n\n");
					rest = parts.pop()!;
					for (const part of parts) take(part);
					if (leaveAfter === null || events < leaveAfter || isDone || error) return;
					left = true;
					call.socket?.resetAndDestroy();
				});
				response.on("error", () => {}); // "close" follows
				response.on("close", () => {
					if (status !== 200) error = `status ${status}: ${rest.slice(0, 300)}`;
					finish();
				});
			},
		);
		call.setTimeout(SILENCE_MS, () => call.destroy(new Error(`nothing came for ${SILENCE_MS / 1000} s`)));
		call.on("error", (problem) => {
			if (!left) error ??= problem.message;
			finish();
		});
		call.end(JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }));
	});
}
