// SPDX-License-Identifier: Apache-2.0
import { basename } from "node:path";
import { loadTokenizer } from "@dyn/text";
import { numbers, readOptions } from "../arguments.js";
import type { Child } from "../endurance/child.js";
import { modelVariant } from "../engine/model-variant.js";
import { describeMachine } from "../machine.js";
import { threadsText } from "../markdown.js";
import { closedLoop, type Target } from "./closed-loop.js";
import { type HttpResult, httpTable } from "./http-table.js";
import { type LoadRun, loadFigures } from "./load-figures.js";
import { RandomPrompts } from "./random-prompts.js";
import { startDynServer, startLlamaServer } from "./servers.js";

export const usage: string = `bench http: dyn-worker run beside llama.cpp's llama-server, streamed completions, in turns; table on standard error

  --model ID-or-path     smollm2-135m-instruct; with :q8_0 or :bf16 after it the same in that format
  --threads N            2
  --concurrency 1,8,32   clients, each with one request under way
  --prompt 256           tokens of a prompt; no two prompts are alike
  --tokens 64            tokens of an answer
  --requests 2           of each client per round, at least 8 of all together
  --rounds 5`;

/** Prints one JSON line per number of clients and server. */
export async function httpBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		model: "smollm2-135m-instruct",
		threads: "2",
		concurrency: "1,8,32",
		prompt: "256",
		tokens: "64",
		requests: "2",
		rounds: "5",
	});
	const model = await modelVariant(options.model);
	console.log(JSON.stringify({ machine: describeMachine(), model }));
	const [promptTokens, tokens] = [Number(options.prompt), Number(options.tokens)];
	const prompts = await RandomPrompts.create(await loadTokenizer(model), promptTokens);
	const loads = numbers(options.concurrency);
	const limits = {
		model,
		threads: options.threads,
		slots: Math.max(...loads),
		tokens: promptTokens + tokens,
	};
	const servers = [
		await startLlamaServer(limits),
		await startDynServer(limits),
		// A small model repeats itself: what guessing gains then is shown, and what there is without it.
		await startDynServer(limits, "--speculative-mode", "off"),
	];
	const targets = await Promise.all(servers.map(target));

	const results: HttpResult[] = [];
	for (const clients of loads) {
		const requests = Math.max(8, clients * Number(options.requests));
		const load = { clients, requests, promptTokens, tokens };
		const runs = new Map(targets.map((each) => [each, [] as LoadRun[]]));
		for (const each of targets) await closedLoop(each, prompts, { ...load, requests: clients }); // warm-up
		for (let round = 0; round < Number(options.rounds); round++)
			for (const each of round % 2 === 0 ? targets : [...targets].reverse())
				runs.get(each)!.push(await closedLoop(each, prompts, load));
		const figures = targets.map((each) => loadFigures(runs.get(each)!));
		const first = figures[0]!.outputTokensPerSecond.median;
		for (const [index, own] of figures.entries()) {
			const ratio = own.outputTokensPerSecond.median / first;
			results.push({ clients, server: servers[index]!.name, ratio, ...own });
			console.log(JSON.stringify(results.at(-1)));
		}
	}
	await Promise.all(servers.map((server) => server.kill("SIGTERM")));
	console.error(httpTable(`${basename(model, ".gguf")}, ${threadsText(options.threads)}`, results));
}

async function target(child: Child): Promise<Target> {
	const models = (await (await fetch(`${child.address}/v1/models`)).json()) as { data: { id: string }[] };
	return { pid: child.pid, port: Number(new URL(child.address).port), model: models.data[0]!.id };
}
