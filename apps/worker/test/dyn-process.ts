// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const cli: string = fileURLToPath(new URL("../dist/main.js", import.meta.url));
/** The line that each command writes when it serves. */
const SERVING = /^.*(?:frontend at|is served (?:as|at)) .*\n/m;

export interface DynProcessOptions {
	readonly env?: NodeJS.ProcessEnv;
	/** Most file descriptors that it may have open. */
	readonly maxFiles?: number;
	/** Another program than the command line of this project; it must say "is served as" when it is ready. */
	readonly script?: string;
}

/** One process of a deployment: `dyn-worker worker`, `frontend` or `run`. */
export class DynProcess implements AsyncDisposable {
	/** "http://127.0.0.1:1234" of a frontend or of a worker's status server; empty when it has none. */
	readonly address: string;
	readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
	readonly #child: ChildProcess;
	readonly #output: { text: string };

	private constructor(
		child: ChildProcess,
		address: string,
		exited: DynProcess["exited"],
		output: { text: string },
	) {
		this.#child = child;
		this.address = address;
		this.exited = exited;
		this.#output = output;
	}

	/** Resolves when it says that it serves. @throws Error with its output when it ends before */
	static start(args: readonly string[], options: DynProcessOptions = {}): Promise<DynProcess> {
		const limit = options.maxFiles === undefined ? "" : `ulimit -n ${options.maxFiles} && `;
		const child = spawn(
			"/bin/sh",
			["-c", `${limit}exec "$@"`, "sh", process.execPath, options.script ?? cli, ...args],
			{
				env: { ...process.env, ...options.env },
				stdio: ["ignore", "pipe", "pipe"],
			},
		);
		const output = { text: "" };
		const exited = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) =>
			child.once("exit", (code, signal) => resolve({ code, signal })),
		);
		return new Promise((resolve, reject) => {
			let isServing = false;
			const read = (chunk: string) => {
				output.text += chunk;
				if (isServing) return; // searching all that is said, again with each line, would take longer than what is tested
				const line = SERVING.exec(output.text)?.[0];
				// What stands in parentheses describes the engine, which may have an address too.
				const address = line && /http:\/\/[\w.:[\]]+:\d+/.exec(line.replace(/\(.*\)/, ""))?.[0];
				if (!line) return;
				isServing = true;
				resolve(new DynProcess(child, address ?? "", exited, output));
			};
			child.stdout.setEncoding("utf8").on("data", read);
			child.stderr.setEncoding("utf8").on("data", read);
			exited.then(({ code, signal }) =>
				reject(new Error(`${args.join(" ")} ended (${code ?? signal}):\n${output.text}`)),
			);
		});
	}

	/** Standard output and standard error so far. */
	get output(): string {
		return this.#output.text;
	}

	get port(): number {
		return Number(new URL(this.address).port);
	}

	get running(): boolean {
		return this.#child.exitCode === null && this.#child.signalCode === null;
	}

	/** File descriptors that it has open now. */
	get openFiles(): number {
		return readdirSync(`/proc/${this.#child.pid}/fd`).length;
	}

	/** CPU time that it has used, ms. */
	get cpuMs(): number {
		const fields = readFileSync(`/proc/${this.#child.pid}/stat`, "utf8").split(") ")[1]!.split(" ");
		return (Number(fields[11]) + Number(fields[12])) * 10; // user and system, in ticks of 10 ms
	}

	/** Bytes that it has written so far, to sockets, pipes and files. */
	get bytesWritten(): number {
		return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${this.#child.pid}/io`, "utf8"))![1]);
	}

	/** Resident set size, MiB. */
	get residentMiB(): number {
		const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
		return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)![1]) / 1024;
	}

	/** Whoever reads what it says is gone: what it writes from now on ends in EPIPE. */
	closeOutput(): void {
		this.#child.stdout?.destroy();
		this.#child.stderr?.destroy();
	}

	kill(signal: NodeJS.Signals): void {
		this.#child.kill(signal);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#child.kill("SIGKILL");
		await this.exited;
	}
}
