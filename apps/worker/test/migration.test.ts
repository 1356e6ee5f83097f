// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { streamCompletion } from "./completion-stream.js";
import { eventually, MODEL } from "./server-process.js";

const cli = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "dyn-migration-"));
const children: ChildProcess[] = [];

/** A command of `dyn-worker` in the test's own deployment. */
function start(command: string, ...args: string[]): { child: ChildProcess; output: () => string } {
	const child = spawn(process.execPath, [cli, command, "--file-kv", folder, ...args], {
		stdio: ["ignore", "pipe", "pipe"],
	});
	children.push(child);
	let output = "";
	for (const stream of [child.stdout!, child.stderr!])
		stream.on("data", (chunk) => {
			output += chunk;
		});
	return { child, output: () => output };
}

const STREAMS = 6;
const TOKENS = 48;
let address: string;
let frontend: ReturnType<typeof start>;
let workers: ReturnType<typeof start>[];
const stream = (index: number, onText: () => void) =>
	streamCompletion(
		address,
		{
			model: MODEL,
			prompt: `Write about the number ${index}:`,
			max_tokens: TOKENS,
			min_tokens: TOKENS,
			temperature: 0,
			stream_options: { include_usage: true },
			// What keeps to a form goes on within it.
			...(index % 2 === 0 ? {} : { guided_regex: "([a-z]{2,8} ){200}" }),
		},
		onText,
	);
/** All streams at once; `fault` happens when a third of their text has come. */
function ask(fault: () => void = () => {}) {
	let tokens = 0;
	const onText = () => {
		if (++tokens === (STREAMS * TOKENS) / 3) fault();
	};
	return Promise.all(Array.from({ length: STREAMS }, (_, index) => stream(index, onText)));
}
const moved = async () =>
	Number(
		/^dynamo_frontend_model_migration_total\{.*\} (\d+)$/m.exec(
			await (await fetch(`${address}/metrics`)).text(),
		)?.[1] ?? 0,
	);

beforeAll(async () => {
	frontend = start("frontend", "--http-port", "0", "--log-level", "info");
	workers = [1, 2, 3].map(() => start("worker", "--threads", "1"));
	await eventually("address", async () => frontend.output().includes("frontend at "));
	address = /frontend at (\S+)/.exec(frontend.output())![1]!;
	await eventually(
		"three workers",
		async () =>
			((await (await fetch(`${address}/health`)).json()) as { instances: [] }).instances.length === 3,
		60_000,
	);
});
afterAll(async () => {
	const exits = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
	for (const child of children) if (!child.kill("SIGKILL")) child.emit("exit");
	await Promise.all(exits);
	rmSync(folder, { recursive: true });
});

it("no client notices a worker that is killed, or one that is stopped and goes on later", async () => {
	const undisturbed = await ask();
	expect(
		undisturbed.map(({ errors, completionTokens, isWhole }) => [errors, completionTokens, isWhole]),
	).toEqual(new Array(STREAMS).fill([[], TOKENS, true]));
	expect(await ask(() => workers[0]!.child.kill("SIGKILL"))).toEqual(undisturbed);
	const movedFromKilled = await moved();
	expect(movedFromKilled).toBeGreaterThan(0);

	expect(await ask(() => workers[1]!.child.kill("SIGSTOP"))).toEqual(undisturbed);
	expect(await moved()).toBeGreaterThan(movedFromKilled);
	expect(frontend.output()).toContain("instance is silent");
	workers[1]!.child.kill("SIGCONT");
	await eventually(
		"the instance is back",
		async () => frontend.output().includes("instance answers again"),
		60_000,
	);
	expect(await ask()).toEqual(undisturbed);
});
