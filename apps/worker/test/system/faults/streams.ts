// SPDX-License-Identifier: Apache-2.0
import { type ClientRequest, request } from "node:http";
import type { DynProcess } from "../../dyn-process.js";
import { MODEL } from "../../server-process.js";

/** What a client saw of one streamed answer. */
export interface StreamEnd {
	/** 0 when there was no answer. */
	readonly status: number;
	readonly text: string;
	readonly completionTokens: number | null;
	/** Null when all went well; else what a client had to complain of. */
	readonly error: string | null;
	readonly firstTokenMs: number;
	/** Between two tokens. */
	readonly longestPauseMs: number;
}

export interface OpenStream {
	/** Never rejects. */
	readonly ended: Promise<StreamEnd>;
	/** The first token came, or the end without one. */
	readonly began: Promise<void>;
	readonly tokens: number;
	readonly requestId: string;
	/** Bytes that came so far, with the head. */
	readonly bytesRead: number;
	/** Of its connection. */
	readonly localPort: number;
	/** Leaves with a reset (RST). */
	reset(): void;
	/** Stops and goes on reading. */
	pause(): void;
	resume(): void;
}

export type StreamBody = Readonly<Record<string, unknown>>;

/** A greedy completion of the real model, of exactly so many tokens. */
export const greedy = (prompt: string, tokens: number): StreamBody => ({
	model: MODEL,
	prompt,
	max_tokens: tokens,
	temperature: 0,
	ignore_eos: true,
});

/** An answer of the light worker: so many tokens, one every `paceMs`. */
export const paced = (prompt: string, tokens: number, paceMs: number): StreamBody => ({
	model: "light",
	prompt,
	max_tokens: tokens,
	seed: paceMs,
	ignore_eos: true,
});

let count = 0;

/** Streams one completion over a connection of its own. */
export function openStream(frontend: Pick<DynProcess, "port">, body: StreamBody): OpenStream {
	const requestId = `r${process.pid}-${count++}`;
	const opened = performance.now();
	let tokens = 0;
	let lastMs = 0;
	let firstTokenMs = Number.NaN;
	let longestPauseMs = 0;
	let text = "";
	let status = 0;
	let error: string | null = null;
	let completionTokens: number | null = null;
	let isDone = false;
	let call!: ClientRequest;
	let begin!: () => void;
	const began = new Promise<void>((resolve) => {
		begin = resolve;
	});

	function take(event: string): void {
		if (event === "data: [DONE]") {
			isDone = true;
			return;
		}
		if (!event.startsWith("data: ")) return;
		const data = JSON.parse(event.slice(6));
		if (data.error) error = JSON.stringify(data.error);
		completionTokens = data.usage?.completion_tokens ?? completionTokens;
		const now = performance.now();
		if (!data.choices?.length) return;
		if (tokens++ === 0) {
			firstTokenMs = now - opened;
			begin();
		} else longestPauseMs = Math.max(longestPauseMs, now - lastMs);
		lastMs = now;
		text += data.choices[0].text ?? "";
	}

	const ended = new Promise<StreamEnd>((resolve) => {
		const finish = () => {
			begin();
			if (!isDone) error ??= "the stream broke off";
			resolve({ status, text, completionTokens, error, firstTokenMs, longestPauseMs });
		};
		call = request(
			{
				host: "127.0.0.1",
				port: frontend.port,
				path: "/v1/completions",
				method: "POST",
				agent: false,
				headers: { "content-type": "application/json", "x-request-id": requestId },
			},
			(response) => {
				status = response.statusCode!;
				let rest = "";
				response.setEncoding("utf8").on("data", (chunk: string) => {
					const events = (rest + chunk).split("\n\n");
					rest = events.pop()!;
					for (const event of events) take(event);
				});
				response.on("error", () => {}); // "close" follows
				response.on("close", () => {
					if (status !== 200) error = `status ${status}: ${rest.slice(0, 300)}`;
					finish();
				});
			},
		);
		call.on("error", (problem) => {
			error ??= problem.message;
			finish();
		});
		call.end(JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }));
	});

	return {
		ended,
		began,
		requestId,
		get bytesRead() {
			return call.socket?.bytesRead ?? 0;
		},
		get localPort() {
			return call.socket?.localPort ?? 0;
		},
		get tokens() {
			return tokens;
		},
		reset: () => {
			call.socket?.resetAndDestroy();
			call.destroy();
		},
		pause: () => call.socket?.pause(),
		resume: () => call.socket?.resume(),
	};
}

/** One answer, read to its end. */
export const streamOnce = (frontend: Pick<DynProcess, "port">, body: StreamBody): Promise<StreamEnd> =>
	openStream(frontend, body).ended;

/** The value below which the share `p` of `values` lies; the largest for few values. */
export function percentile(values: readonly number[], p: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(sorted.length - 1, Math.floor(p * sorted.length))] ?? Number.NaN;
}

/** "p50 12 ms, p99 40 ms, max 41 ms" */
export const spread = (values: readonly number[]): string =>
	`p50 ${percentile(values, 0.5).toFixed(0)} ms, p99 ${percentile(values, 0.99).toFixed(0)} ms, max ${Math.max(...values).toFixed(0)} ms`;
