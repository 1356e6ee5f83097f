// SPDX-License-Identifier: Apache-2.0
import { setMaxListeners } from "node:events";
import { type CompletionEnd, type CompletionOptions, streamCompletion } from "./completion-stream.js";
import { randomNumbers } from "./random.js";

export interface SteadyLoadOptions {
	readonly port: number;
	readonly model: string;
	readonly requestsPerSecond: number;
	/** Most requests under way: where the servers are slower than the rate, clients wait for them. */
	readonly clients: number;
	/** Bounds of the tokens of an answer, both included. */
	readonly tokens: readonly [fewest: number, most: number];
	/** 0 to 1: of the clients that leave in the middle of an answer. */
	readonly leaveShare: number;
	/** Of the random prompts, lengths and leavers. */
	readonly seed: number;
	readonly onEnd: (end: CompletionEnd) => void;
}

/** Clients that ask at a constant rate until `stop`, each prompt another; two endpoints in turn, every eighth with logprobs. */
export class SteadyLoad {
	readonly #options: SteadyLoadOptions;
	readonly #clients: readonly Promise<void>[];
	readonly #stopping = new AbortController();
	readonly #random: () => number;
	#count = 0;

	constructor(options: SteadyLoadOptions) {
		this.#options = options;
		this.#random = randomNumbers(options.seed);
		setMaxListeners(options.clients, this.#stopping.signal);
		this.#clients = Array.from({ length: options.clients }, (_, index) => this.#ask(index));
	}

	/** Resolves when every request under way has ended. */
	async stop(): Promise<void> {
		this.#stopping.abort();
		await Promise.all(this.#clients);
	}

	async #ask(index: number): Promise<void> {
		const { clients, requestsPerSecond, onEnd } = this.#options;
		const periodMs = (clients / requestsPerSecond) * 1000;
		let nextMs = performance.now() + (index / clients) * periodMs;
		for (;;) {
			await this.#pause(nextMs - performance.now());
			if (this.#stopping.signal.aborted) return;
			// Who is late asks at once and does not catch up: the rate has no bursts.
			nextMs = Math.max(nextMs + periodMs, performance.now());
			onEnd(await streamCompletion(this.#next()));
		}
	}

	#pause(ms: number): Promise<void> {
		const { signal } = this.#stopping;
		if (ms <= 0 || signal.aborted) return Promise.resolve();
		return new Promise((resolve) => {
			const end = () => {
				clearTimeout(timer);
				signal.removeEventListener("abort", end);
				resolve();
			};
			const timer = setTimeout(end, ms);
			signal.addEventListener("abort", end);
		});
	}

	#next(): CompletionOptions {
		const { port, model, tokens, leaveShare } = this.#options;
		const number = this.#count++;
		const between = (low: number, high: number) => low + Math.floor(this.#random() * (high - low + 1));
		const words = Array.from({ length: between(2, 24) }, () => between(36 ** 3, 36 ** 5).toString(36));
		const prompt = `${number} ${words.join(" ")}`;
		const common = { model, max_tokens: between(...tokens), ignore_eos: true };
		const leaveAfter = this.#random() < leaveShare ? between(1, common.max_tokens >> 1) : null;
		const withLogprobs = number % 8 === 0;
		return number % 2 === 0
			? {
					port,
					path: "/v1/completions",
					body: { ...common, prompt, ...(withLogprobs ? { logprobs: 2 } : {}) },
					leaveAfter,
				}
			: {
					port,
					path: "/v1/chat/completions",
					body: { ...common, messages: [{ role: "user", content: prompt }] },
					leaveAfter,
				};
	}
}
