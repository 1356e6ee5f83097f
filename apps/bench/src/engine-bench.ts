// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { numbers, readOptions } from "./arguments.js";
import { DriverProcess, type DriverQuestion } from "./driver-process.js";
import { interleave } from "./interleave.js";
import { describeMachine } from "./machine.js";
import { modelFile } from "./model-file.js";

export const usage = `bench engine: the embedded engine beside llama.cpp v0.5.0, same file, same run, alternating

  --model ID-or-path     smollm2-135m-instruct
  --threads N            2
  --prefill 512          prompt lengths
  --batch 1,8            sequences per decode step
  --context 512          cached tokens per sequence
  --steps 32             decode steps per run
  --rounds 5
  --peer-directory DIR   where llama.cpp is put (default: a cache folder of this package)`;

/** Prints one JSON line per question and engine. */
export async function engineBench(argv: readonly string[]): Promise<void> {
	const packageFolder = fileURLToPath(new URL("..", import.meta.url));
	const options = readOptions(argv, {
		model: "smollm2-135m-instruct",
		threads: "2",
		prefill: "512",
		batch: "1,8",
		context: "512",
		steps: "32",
		rounds: "5",
		"peer-directory": `${packageFolder}.cache/llama-cpp`,
	});
	const peer = options["peer-directory"];
	execFileSync("bash", [`${packageFolder}peers/llama-cpp/build.sh`, peer], {
		stdio: ["ignore", "inherit", "inherit"],
	});
	const model = await modelFile(options.model);

	console.log(JSON.stringify({ machine: describeMachine(), model }));
	const engines = [
		new DriverProcess("llama.cpp", `${peer}/llbench`, [
			"--serve",
			"--fa",
			"1",
			"--threads",
			options.threads,
			"--model",
			model,
		]),
		new DriverProcess("dyn", process.execPath, [
			fileURLToPath(new URL("./engine-driver.js", import.meta.url)),
			model,
			options.threads,
		]),
	];
	for (const engine of engines)
		console.log(JSON.stringify({ engine: engine.name, ...(await engine.ask({ op: "info" })) }));
	const steps = Number(options.steps);
	const questions: DriverQuestion[] = [
		...numbers(options.prefill).map((n): DriverQuestion => ({ op: "pp", n })),
		...numbers(options.batch).flatMap((batch) =>
			numbers(options.context).map((ctx): DriverQuestion => ({ op: "dec", batch, ctx, steps })),
		),
	];
	for await (const result of interleave(engines, questions, Number(options.rounds)))
		console.log(JSON.stringify(result));
	await Promise.all(engines.map((engine) => engine.close()));
}
