// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const cli = fileURLToPath(new URL("../dist/main.js", import.meta.url));

export const MODEL = "smollm2-135m-instruct";

/** A real `dyn-worker` process with the real model, on a free port. */
export class ServerProcess {
	readonly address: string;
	readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
	readonly #child: ChildProcess;
	readonly #output: () => string;

	private constructor(
		child: ChildProcess,
		address: string,
		exited: ServerProcess["exited"],
		output: () => string,
	) {
		this.#child = child;
		this.address = address;
		this.exited = exited;
		this.#output = output;
	}

	static start(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<ServerProcess> {
		const child = spawn(process.execPath, [cli, "run", "--http-port", "0", ...args], {
			env: { ...process.env, ...env },
			stdio: ["ignore", "pipe", "pipe"],
		});
		let output = "";
		const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
			child.once("exit", (code, signal) => resolve({ code, signal })),
		);
		return new Promise((resolve, reject) => {
			const read = (chunk: Buffer) => {
				output += chunk;
				const found = /http:\/\/[\w.:[\]]+:\d+/.exec(output);
				if (found) resolve(new ServerProcess(child, found[0], exited, () => output));
			};
			child.stdout.on("data", read);
			child.stderr.on("data", read);
			exited.then(({ code }) => reject(new Error(`dyn-worker ended with ${code}:\n${output}`)));
		});
	}

	get output(): string {
		return this.#output();
	}

	get port(): number {
		return Number(new URL(this.address).port);
	}

	kill(signal: NodeJS.Signals): void {
		this.#child.kill(signal);
	}

	/** Resident set size, MiB. */
	get residentMiB(): number {
		const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
		return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
	}

	/** Value of one sample of /metrics whose name and labels begin with `prefix`, or null. */
	async metric(prefix: string): Promise<number | null> {
		const text = await (await fetch(`${this.address}/metrics`)).text();
		const line = text.split("\n").find((each) => each.startsWith(prefix) && !each.startsWith("#"));
		return line ? Number(line.slice(line.lastIndexOf(" ") + 1)) : null;
	}

	post(path: string, body: unknown, signal?: AbortSignal): Promise<Response> {
		return fetch(this.address + path, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: typeof body === "string" ? body : JSON.stringify(body),
			...(signal ? { signal } : {}),
		});
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#child.kill("SIGKILL");
		await this.exited;
	}
}

/** Polls `condition` until it holds; rejects after `limitMs` with `what`. For state that another process offers no event for. */
export async function eventually(
	what: string,
	condition: () => Promise<boolean>,
	limitMs = 10_000,
): Promise<number> {
	const began = performance.now();
	while (!(await condition())) {
		if (performance.now() - began > limitMs) throw new Error(`not within ${limitMs} ms: ${what}`);
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	return performance.now() - began;
}
