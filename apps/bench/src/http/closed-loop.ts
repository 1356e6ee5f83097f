// SPDX-License-Identifier: Apache-2.0
import { setTimeout as delay } from "node:timers/promises";
import { type CompletionEnd, streamCompletion } from "../endurance/completion-stream.js";
import { cpuTicks, processTicks } from "../machine.js";
import type { LoadRun } from "./load-figures.js";
import type { RandomPrompts } from "./random-prompts.js";

export interface Target {
	readonly pid: number;
	/** On loopback. */
	readonly port: number;
	/** Name of the model there. */
	readonly model: string;
}

export interface Load {
	/** Each has one request under way. */
	readonly clients: number;
	/** Of all clients together. */
	readonly requests: number;
	readonly promptTokens: number;
	readonly tokens: number;
}

/** Streams greedy completions of random prompts. An answer of other counts than were asked for is an error. */
export async function closedLoop(target: Target, prompts: RandomPrompts, load: Load): Promise<LoadRun> {
	await delay(200); // lets spinning threads of the other server park
	const ends: CompletionEnd[] = [];
	let left = load.requests;
	const ownTicks = () => processTicks(target.pid) + processTicks(process.pid);
	const [machineBefore, ownBefore] = [cpuTicks(), ownTicks()];
	const began = performance.now();
	const client = async () => {
		while (left-- > 0) ends.push(await oneAnswer(target, prompts.next(), load));
	};
	await Promise.all(Array.from({ length: load.clients }, client));
	const ms = performance.now() - began;
	const machine = cpuTicks();
	const foreign = machine.busy - machineBefore.busy - (ownTicks() - ownBefore);
	return { ends, ms, foreign: Math.max(0, foreign) / Math.max(1, machine.total - machineBefore.total) };
}

async function oneAnswer({ port, model }: Target, prompt: string, load: Load): Promise<CompletionEnd> {
	const end = await streamCompletion({
		port,
		path: "/v1/completions",
		body: { model, prompt, max_tokens: load.tokens, temperature: 0, ignore_eos: true },
		leaveAfter: null,
	});
	if (end.error !== null || end.promptTokens === load.promptTokens) return end;
	return { ...end, error: `${end.promptTokens} tokens of the prompt instead of ${load.promptTokens}` };
}
