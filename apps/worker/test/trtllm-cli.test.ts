// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMockerEngine } from "@dyn/mocker";
import { createTrtllmDouble } from "@dyn/mocker/openengine";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { cli, DynProcess } from "./dyn-process.js";
import { eventually, MODEL } from "./server-process.js";

let folder: string;
const processes: DynProcess[] = [];
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "trtllm-cli-"));
});
afterEach(async () => {
	for (const each of processes.splice(0)) {
		each.kill("SIGKILL");
		await each.exited;
	}
	rmSync(folder, { recursive: true });
});

async function start(command: string, ...args: string[]): Promise<DynProcess> {
	const started = await DynProcess.start([command, "--file-kv", folder, "--log-level", "warn", ...args]);
	processes.push(started);
	return started;
}
const worker = (...args: string[]) => start("worker", "--grace-period", "0", ...args);
const complete = async (address: string) => {
	const response = await fetch(`${address}/v1/completions`, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ model: MODEL, prompt: "One, two, three", max_tokens: 12, temperature: 0 }),
	});
	const { choices, usage } = (await response.json()) as {
		choices: [{ text: string }];
		usage: { completion_tokens: number };
	};
	return { status: response.status, text: choices[0].text, tokens: usage.completion_tokens };
};
const models = async (address: string) => (await fetch(`${address}/v1/models`)).text();
const served = (address: string) =>
	eventually("the model", async () => (await models(address)).includes(MODEL), 30_000);

it.each(["openengine", "http"])(
	"%s: two doubles that share the work answer as one does alone",
	async (protocol) => {
		const frontend = await start("frontend", "--http-port", "0");
		const double = ["--engine=double", "--engine-protocol", protocol];
		const one = await worker(...double);
		await served(frontend.address);
		const alone = await complete(frontend.address);
		expect(alone).toMatchObject({ status: 200, tokens: 12 });
		one.kill("SIGTERM");
		await one.exited;
		const prefill = await worker(...double, "--disaggregation-mode", "prefill", "--system-port", "0");
		await worker(...double, "--disagg-mode", "decode", "--disaggregation-strategy", "decode_first");
		expect(prefill.output).toContain("dyn://dynamo.prefill.generate");
		await served(frontend.address);
		expect(await complete(frontend.address)).toEqual(alone);
		const metrics = await (await fetch(`${prefill.address}/metrics`)).text();
		expect(metrics).toMatch(/^dynamo_component_requests_total\{.*"prefill".*\} 1$/m);
		expect(metrics).toMatch(/^dynamo_component_model_load_time_seconds\{.*\} \d/m);
	},
);

it("gives up its start at a signal, and leaves nothing of it behind", async () => {
	const temporary = join(folder, "temporary");
	mkdirSync(temporary);
	const settings = join(folder, "engine.yaml");
	writeFileSync(settings, "guided_decoding_backend: xgrammar\n");
	const child = spawn(
		process.execPath,
		[cli, "worker", "--file-kv", join(folder, "kv"), "--engine", "double", "--extra-engine-args", settings],
		{ env: { ...process.env, TMPDIR: temporary }, stdio: "ignore" },
	);
	onTestFinished(() => void child.kill("SIGKILL"));
	await eventually("the engine's settings are written", async () => readdirSync(temporary).length > 0);
	child.kill("SIGTERM");
	expect(await once(child, "exit")).toEqual([0, null]);
	expect(readdirSync(temporary)).toEqual([]);
});

it("serves an engine that runs already, and leaves it alone when it ends", async () => {
	await using double = await createTrtllmDouble({ engine: createMockerEngine({ speedupRatio: 0 }) });
	const frontend = await start("frontend", "--http-port", "0");
	const attached = await worker(
		...["--engine", "trtllm", "--model", MODEL, "--max-seq-len", "4096", "--grpc-endpoint", double.address],
	);
	await served(frontend.address);
	expect(await complete(frontend.address)).toMatchObject({ status: 200, tokens: 12 });
	attached.kill("SIGTERM");
	expect((await attached.exited).code).toBe(0);
	expect(double.engine.health()).toEqual({ status: "healthy" });
});

it.each(["openengine", "smg", "http"])(
	"%s: starts an engine, asks it, and starts it again when it is killed",
	async (protocol) => {
		const frontend = await start("frontend", "--http-port", "0");
		const serving = await worker("--engine", "double", "--engine-protocol", protocol, "--log-level", "info");
		await served(frontend.address);
		const answer = await complete(frontend.address);
		expect(answer).toMatchObject({ status: 200, tokens: 12 });
		const pids = () =>
			[...serving.output.matchAll(/"the engine is ready".*"pid":(\d+)/g)].map(([, pid]) => pid);
		process.kill(Number(pids()[0]), "SIGKILL");
		await eventually("the next engine", async () => pids().length === 2, 30_000);
		await served(frontend.address);
		expect(await complete(frontend.address)).toEqual(answer);
	},
);

it("the embedded engine takes one half of the work too", async () => {
	const prefill = await worker(
		"--disaggregation-mode",
		"prefill",
		"--threads",
		"1",
		"--kv-transfer-port",
		"0",
	);
	expect(prefill.output).toContain("dyn://dynamo.prefill.generate");
});

it.each([
	["without TensorRT-LLM", ["--max-seq-len", "4096"], /there is no TensorRT-LLM in .*pip install/s],
	["with an option of the embedded engine", ["--threads", "1"], /there is no option --threads/],
])("does not start TensorRT-LLM %s, and says what to do", async (_, args, message) => {
	await expect(worker("--engine", "trtllm", "--model", MODEL, ...args)).rejects.toThrow(message);
});

it("does not start what would hang, and names the flag", async () => {
	const start = worker(
		"--engine",
		"double",
		"--disaggregation-mode",
		"prefill",
		"--trtllm.disable_overlap_scheduler",
		"false",
	);
	await expect(start).rejects.toThrow(/overlap scheduler is on.*set disable_overlap_scheduler: true/s);
});
