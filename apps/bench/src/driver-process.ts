// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** One question to an engine driver; `tokens / ms` of the answer is the speed. */
export type DriverQuestion =
	| { readonly op: "info" }
	/** `n` tokens in one sequence, empty cache before; the last row's logits are available at the end. */
	| { readonly op: "pp"; readonly n: number }
	/** `steps` tokens of each of `batch` sequences that hold `ctx` tokens each; how they are chosen is the driver's. */
	| { readonly op: "dec"; readonly batch: number; readonly ctx: number; readonly steps: number };

/** The CPU time that the process has used; `cpuMs` of the answer. */
export interface CpuQuestion {
	readonly op: "cpu";
}

export interface DriverAnswer {
	readonly ms?: number;
	readonly tokens?: number;
	readonly error?: string;
	readonly [key: string]: unknown;
}

/** An engine in a process of its own that answers one JSON line per question. */
export class DriverProcess {
	readonly name: string;
	readonly #child: ChildProcess;
	readonly #waiting: { resolve: (answer: DriverAnswer) => void; reject: (error: Error) => void }[] = [];
	#exit: Error | null = null;

	constructor(name: string, command: string, args: readonly string[]) {
		this.name = name;
		this.#child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
		createInterface({ input: this.#child.stdout! }).on("line", (line) => {
			if (line.startsWith("{")) this.#waiting.shift()?.resolve(JSON.parse(line));
		});
		const fail = (error: Error) => {
			this.#exit = error;
			for (const { reject } of this.#waiting.splice(0)) reject(error);
		};
		this.#child.on("error", fail);
		this.#child.on("exit", (code, signal) => fail(new Error(`${name} ended with ${signal ?? code}`)));
	}

	get pid(): number {
		return this.#child.pid ?? 0;
	}

	ask(question: DriverQuestion | CpuQuestion): Promise<DriverAnswer> {
		if (this.#exit) return Promise.reject(this.#exit);
		return new Promise((resolve, reject) => {
			this.#waiting.push({ resolve, reject });
			this.#child.stdin!.write(`${JSON.stringify(question)}\n`);
		});
	}

	/** Ends the process and waits for it. */
	async close(): Promise<void> {
		if (this.#exit) return;
		const ended = new Promise<void>((resolve) => this.#child.once("exit", () => resolve()));
		this.#child.stdin!.end(`${JSON.stringify({ op: "quit" })}\n`);
		await ended;
	}
}
