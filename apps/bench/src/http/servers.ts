// SPDX-License-Identifier: Apache-2.0
import { Child } from "../endurance/child.js";
import { buildLlamaCpp } from "../engine/llama-cpp.js";
import { dynWorker } from "../repository.js";

export interface ServerLimits {
	readonly model: string;
	readonly threads: string;
	/** Requests that the server computes at once. */
	readonly slots: number;
	/** Tokens of a prompt and its answer. */
	readonly tokens: number;
}

/** llama.cpp's own server: flash attention, a KV cache for as many requests as it has slots, no web page. */
export function startLlamaServer({ model, threads, slots, tokens }: ServerLimits): Promise<Child> {
	const context = slots * Math.ceil(tokens / 256) * 256; // what a slot is rounded up to
	return Child.start({
		name: "llama-server",
		command: buildLlamaCpp("llama-server"),
		args: [
			["--model", model, "--host", "127.0.0.1", "--port", "0", "--no-ui", "--flash-attn", "on"],
			["--threads", threads, "--threads-batch", threads],
			["--parallel", String(slots), "--ctx-size", String(context)],
		].flat(),
		ready: /listening on (http:\S+)/,
	});
}

/** As a user starts it, but for the limits and what `args` say. */
export function startDynServer({ model, threads, slots }: ServerLimits, ...args: string[]): Promise<Child> {
	return Child.start({
		name: ["dyn-worker", ...args].join(" "),
		command: process.execPath,
		args: [
			[dynWorker, "run", "--model", model, "--http-port", "0"],
			["--threads", threads, "--max-batch-size", String(slots), ...args],
		].flat(),
		ready: /(http:\/\/[\w.:[\]]+:\d+)/,
	});
}
