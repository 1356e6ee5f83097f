// SPDX-License-Identifier: Apache-2.0
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { numbers, readOptions } from "../arguments.js";
import { type DriverAnswer, DriverProcess } from "../driver-process.js";
import { describeMachine } from "../machine.js";
import { threadsText } from "../markdown.js";
import { BusyProcesses } from "./busy-processes.js";
import { type Ceiling, ceiling, type SpeedQuestion, workOf } from "./ceiling.js";
import { type EngineResult, engineTable } from "./engine-table.js";
import { interleave } from "./interleave.js";
import { buildLlamaCpp, cpuLibrary, ISAS, type Isa } from "./llama-cpp.js";
import { measureLimits } from "./machine-limits.js";
import { modelShape } from "./model-shape.js";
import { modelVariant } from "./model-variant.js";
import { RANDOM_QWEN3 } from "./random-qwen3.js";

export const usage: string = `bench engine: the embedded engine beside llama.cpp v0.5.0, same file, same run, alternating; table on standard error

  --model ID-or-path     smollm2-135m-instruct, or ${RANDOM_QWEN3}; with :q8_0 or :bf16 after it the same in that format
  --threads N            2
  --isa ${ISAS.join("|")}  hold both to it (default: the best that each has for this CPU)
  --prefill 512          prompt lengths
  --batch 1,8            sequences per decode step
  --context 512          cached tokens per sequence
  --steps 32             decode steps per run
  --rounds 5
  --busy N               ask again beside so many processes that keep a core busy each (default: do not)`;

/** Prints one JSON line per question and engine. */
export async function engineBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		model: "smollm2-135m-instruct",
		threads: "2",
		isa: "",
		prefill: "512",
		batch: "1,8",
		context: "512",
		steps: "32",
		rounds: "5",
		busy: "0",
	});
	const isa = ISAS.find((name) => name === options.isa) ?? null;
	if (options.isa !== "" && !isa) throw new Error(`--isa ${options.isa} is not one of ${ISAS.join(", ")}`);
	const model = await modelVariant(options.model);
	console.log(JSON.stringify({ machine: describeMachine(), model }));

	const engines = startEngines(model, options.threads, isa);
	const infos: DriverAnswer[] = [];
	for (const engine of engines) {
		const info = await engine.ask({ op: "info" });
		infos.push(info);
		console.log(JSON.stringify({ engine: engine.name, ...info }));
	}
	const questions = questionsOf(options);
	const used = ISAS.find((name) => name === infos.at(-1)!["isa"]);
	const ceilings = used ? await ceilingsOf(questions, model, Number(options.threads), used) : new Map();
	const busy = Number(options.busy) > 0 ? await BusyProcesses.start(Number(options.busy)) : null;

	const results: EngineResult[] = [];
	for await (const cell of interleave(engines, questions, Number(options.rounds), busy)) {
		const highest: Ceiling | undefined = ceilings.get(cell.question);
		const shares = highest && { ceiling: highest, ofCeiling: cell.speed.median / highest.tokensPerSecond };
		results.push({ ...cell, ...shares });
		console.log(JSON.stringify(results.at(-1)));
	}
	await Promise.all([...engines.map((engine) => engine.close()), busy?.close()]);
	const title = `${basename(model, ".gguf")}, ${threadsText(options.threads)}, ${isa ?? `best (${used})`}, tok/s`;
	console.error(engineTable(title, results));
}

function startEngines(model: string, threads: string, isa: Isa | null): DriverProcess[] {
	const forced = isa ? ["--backend", cpuLibrary(isa)] : [];
	const llamaCpp = ["--serve", "--fa", "1", "--threads", threads, "--model", model, ...forced];
	const driver = fileURLToPath(new URL("./engine-driver.js", import.meta.url));
	return [
		new DriverProcess("llama.cpp", buildLlamaCpp("llbench"), llamaCpp),
		new DriverProcess("dyn", process.execPath, [driver, model, threads, ...(isa ? [isa] : [])]),
	];
}

function questionsOf(options: Record<"prefill" | "batch" | "context" | "steps", string>): SpeedQuestion[] {
	const steps = Number(options.steps);
	return [
		...numbers(options.prefill).map((n): SpeedQuestion => ({ op: "pp", n })),
		...numbers(options.batch).flatMap((batch) =>
			numbers(options.context).map((ctx): SpeedQuestion => ({ op: "dec", batch, ctx, steps })),
		),
	];
}

/** Measures the machine and prints what it measured. */
async function ceilingsOf(
	questions: readonly SpeedQuestion[],
	model: string,
	threads: number,
	isa: Isa,
): Promise<Map<SpeedQuestion, Ceiling>> {
	const shape = await modelShape(model);
	const works = questions.map((question) => workOf(question, shape));
	const limits = measureLimits(
		threads,
		isa,
		works.map(({ bytes }) => bytes),
	);
	console.log(
		JSON.stringify({
			ceiling: "tokens / max(bytes / bytesPerSecond, operations / operationsPerSecond)",
			operationsPerSecond: limits.operationsPerSecond,
			shape,
			cells: works.map((work, index) => ({
				question: questions[index],
				...work,
				bytesPerSecond: limits.bytesPerSecond(work.bytes),
			})),
		}),
	);
	return new Map(
		questions.map((question, index) => [question, ceiling(works[index]!, shape.numbers, limits)]),
	);
}
