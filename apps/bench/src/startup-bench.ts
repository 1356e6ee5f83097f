// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { readOptions } from "./arguments.js";
import { describeMachine } from "./machine.js";
import { dynWorker } from "./repository.js";
import { spread } from "./statistics.js";

export const usage = `bench startup: from process start to the first streamed token, and --help

  --rounds 5`;

/** Prints one JSON line per phase; ms, median of all rounds. The first start of a round list is not counted. */
export async function startupBench(argv: readonly string[]): Promise<void> {
	const rounds = Number(readOptions(argv, { rounds: "5" }).rounds);
	console.log(JSON.stringify({ machine: describeMachine() }));
	const phases: Record<"help" | "listening" | "firstToken" | "exit", number[]> = {
		help: [],
		listening: [],
		firstToken: [],
		exit: [],
	};
	for (let round = -1; round < rounds; round++) {
		const measured = { help: await timeHelp(), ...(await timeServer()) };
		if (round < 0) continue;
		for (const [phase, ms] of Object.entries(measured)) phases[phase as keyof typeof phases].push(ms);
	}
	for (const [phase, values] of Object.entries(phases))
		console.log(JSON.stringify({ phase, unit: "ms", ...spread(values) }));
}

function timeHelp(): Promise<number> {
	const began = performance.now();
	const child = spawn(process.execPath, [dynWorker, "--help"], { stdio: "ignore" });
	return new Promise((resolve) => child.once("exit", () => resolve(performance.now() - began)));
}

async function timeServer(): Promise<{ listening: number; firstToken: number; exit: number }> {
	const began = performance.now();
	const child = spawn(process.execPath, [dynWorker, "run", "--http-port", "0"], {
		stdio: ["ignore", "pipe", "ignore"],
	});
	const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
	let output = "";
	const address = await new Promise<string>((resolve) => {
		child.stdout.on("data", (chunk) => {
			output += chunk;
			const found = /http:\/\/[\w.:[\]]+:\d+/.exec(output);
			if (found) resolve(found[0]);
		});
	});
	const listening = performance.now() - began;
	const models = (await (await fetch(`${address}/v1/models`)).json()) as { data: { id: string }[] };
	const response = await fetch(`${address}/v1/chat/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({
			model: models.data[0]!.id,
			messages: [{ role: "user", content: "Hi" }],
			max_tokens: 4,
			stream: true,
		}),
	});
	const reader = response.body!.getReader();
	await reader.read();
	const firstToken = performance.now() - began;
	while (!(await reader.read()).done);
	const stopping = performance.now();
	child.kill("SIGTERM");
	await ended;
	return { listening, firstToken, exit: performance.now() - stopping };
}
