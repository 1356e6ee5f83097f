// SPDX-License-Identifier: Apache-2.0
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createGenerateRequest, type GenerateRequest } from "@dyn/protocols";
import { createEmbeddedEngine, type EmbeddedEngineOptions } from "@dyn/trtllm-native";
import { numbers, readOptions } from "../arguments.js";
import { describeMachine } from "../machine.js";
import { modelFile } from "../model-file.js";
import { spread } from "../statistics.js";
import { COPYING, ORDINARY } from "./prompts.js";
import { chatPrompts } from "./questions.js";

export const usage = `bench speculation: decode speed with and without guesses of the tokens to come

  --model ID-or-path   smollm2-135m-instruct
  --draft-model ...    guess with this model (default: look guesses up in the text)
  --batch 1,8          requests that run at once
  --tokens 128         most tokens of an answer
  --prompts 16         questions of each kind
  --temperature 0
  --rounds 11`;

/**
 * Every kind of question with and without guesses. The two take turns group by group, and swap places every round, so that
 * what else the machine does hits both. Prints a JSON line per kind and batch size; its ratio is that of the two speeds of a
 * round, for a machine's speed drifts by more between rounds than guesses that are not made can cost.
 */
export async function speculationBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		model: "smollm2-135m-instruct",
		"draft-model": "",
		batch: "1,8",
		tokens: "128",
		prompts: "16",
		temperature: "0",
		rounds: "11",
	});
	console.log(JSON.stringify({ machine: describeMachine() }));
	const draft = options["draft-model"];
	const modelPath = await modelFile(options.model);
	const contestants = [
		await contestant(modelPath, { speculativeMode: "off" }),
		await contestant(modelPath, draft === "" ? {} : { draftModelPath: await modelFile(draft) }),
	] as const;
	for (const [kind, questions] of Object.entries({ copying: COPYING, ordinary: ORDINARY })) {
		const every = questions.length / Number(options.prompts);
		const chosen = Array.from(
			{ length: Number(options.prompts) },
			(_, i) => questions[Math.floor(i * every)]!,
		);
		const requests = (await chatPrompts(modelPath, chosen)).map((tokenIds, seed) =>
			createGenerateRequest({
				tokenIds,
				sampling: { temperature: Number(options.temperature), seed },
				stop: { maxTokens: Number(options.tokens) },
			}),
		);
		for (const batch of numbers(options.batch)) {
			const outcomes = await compare(contestants, requests, batch, Number(options.rounds));
			const [plain, guessing] = outcomes as [Outcome, Outcome];
			console.log(
				JSON.stringify({
					kind,
					batch,
					unit: "tok/s",
					plain: spread(plain.speeds),
					guessing: spread(guessing.speeds),
					ratio: spread(guessing.speeds.map((speed, round) => speed / plain.speeds[round]!)),
					tokensPerStep: [plain.tokensPerStep, guessing.tokensPerStep],
					rowsPerToken: [plain.rowsPerToken, guessing.rowsPerToken],
					equalAnswers: plain.answers === guessing.answers,
				}),
			);
		}
	}
	for (const { engine } of contestants) await engine.close();
}

interface Contestant {
	readonly engine: Engine;
	/** Of all steps so far. */
	readonly work: { steps: number; rows: number; tokens: number };
}

async function contestant(modelPath: string, options: Partial<EmbeddedEngineOptions>): Promise<Contestant> {
	const work = { steps: 0, rows: 0, tokens: 0 };
	const engine = createEmbeddedEngine({
		modelPath,
		maxSeqLen: 2048,
		onIteration: ({ rows, promptRows, generatedTokens }) => {
			work.steps++;
			work.rows += rows - promptRows;
			work.tokens += generatedTokens;
		},
		...options,
	});
	await engine.start();
	return { engine, work };
}

interface Outcome {
	/** Of every round, tokens per second. */
	readonly speeds: readonly number[];
	readonly tokensPerStep: number;
	readonly rowsPerToken: number;
	/** Ids of every answer, in the order of the requests. */
	readonly answers: string;
}

async function compare(
	contestants: readonly Contestant[],
	requests: readonly GenerateRequest[],
	batch: number,
	rounds: number,
): Promise<Outcome[]> {
	const runs = contestants.map(() => ({ speeds: [] as number[], answers: "" }));
	for (const { work } of contestants) Object.assign(work, { steps: 0, rows: 0, tokens: 0 });
	for (let round = -1; round < rounds; round++) {
		const ms = contestants.map(() => 0);
		const answers = contestants.map((): number[][] => []);
		for (let at = 0; at < requests.length; at += batch) {
			const group = requests.slice(at, at + batch);
			const order = [...contestants.keys()];
			for (const i of round % 2 === 0 ? order : order.reverse()) {
				const began = performance.now();
				answers[i]!.push(
					...(await Promise.all(group.map((request) => answer(contestants[i]!.engine, request)))),
				);
				ms[i]! += performance.now() - began;
			}
		}
		for (const [i, run] of runs.entries()) {
			const tokens = answers[i]!.reduce((sum, { length }) => sum + length, 0);
			if (round >= 0) run.speeds.push((tokens / ms[i]!) * 1000); // the first round warms up
			run.answers = JSON.stringify(answers[i]);
		}
	}
	return runs.map(({ speeds, answers }, i) => {
		const { steps, rows, tokens } = contestants[i]!.work;
		return { speeds, tokensPerStep: tokens / steps, rowsPerToken: rows / tokens, answers };
	});
}

async function answer(engine: Engine, request: GenerateRequest): Promise<number[]> {
	const ids: number[] = [];
	for await (const { tokenIds } of engine.generate(request, createRequestContext())) ids.push(...tokenIds);
	return ids;
}
