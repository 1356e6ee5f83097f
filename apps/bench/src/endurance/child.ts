// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";

/** Characters of output that are kept, the newest. */
const LOG_LENGTH = 1 << 16;
const START_MS = 60_000;

export interface ChildCommand {
	/** What reports call it. */
	readonly name: string;
	readonly command: string;
	readonly args: readonly string[];
	/** Of the line that it writes when it is ready; its first group is the child's `address`. */
	readonly ready: RegExp;
}

const running = new Set<ChildProcess>();
process.once("exit", () => {
	for (const child of running) child.kill("SIGKILL");
});

/** A process that lives no longer than this one, however this one ends (Linux: setpriv of util-linux asks the kernel). */
export class Child {
	readonly name: string;
	readonly pid: number;
	/** What the first group of `ready` matched, or "". */
	readonly address: string;
	readonly #child: ChildProcess;
	readonly #exited: Promise<void>;
	readonly #output: { text: string };

	private constructor(name: string, child: ChildProcess, address: string, output: { text: string }) {
		this.name = name;
		this.pid = child.pid!;
		this.address = address;
		this.#child = child;
		this.#output = output;
		this.#exited = new Promise((resolve) => {
			if (this.running) child.once("exit", () => resolve());
			else resolve();
		});
	}

	/** Resolves when it is ready. @throws Error with its output when it ends before, or takes a minute */
	static start({ name, command, args, ready }: ChildCommand): Promise<Child> {
		const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], {
			stdio: ["ignore", "pipe", "pipe"],
		});
		running.add(child);
		child.once("exit", () => running.delete(child));
		const output = { text: "" };
		return new Promise((resolve, reject) => {
			const fail = (what: string) => {
				child.kill("SIGKILL");
				reject(new Error(`${name} ${what}:\n${command} ${args.join(" ")}\n${output.text}`));
			};
			const timer = setTimeout(() => fail(`was not ready within ${START_MS / 1000} s`), START_MS);
			let isReady = false;
			const read = (chunk: string) => {
				output.text = (output.text + chunk).slice(-LOG_LENGTH);
				const found = isReady ? null : ready.exec(output.text);
				if (!found) return;
				isReady = true;
				clearTimeout(timer);
				resolve(new Child(name, child, found[1] ?? "", output));
			};
			for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", read);
			child.once("error", (error) => fail(`did not start (${error.message})`));
			child.once("exit", (code, signal) => {
				clearTimeout(timer);
				fail(`ended with ${signal ?? code}`);
			});
		});
	}

	get running(): boolean {
		return this.#child.exitCode === null && this.#child.signalCode === null;
	}

	/** Newest output. */
	get log(): string {
		return this.#output.text;
	}

	/** Resolves when it is gone. */
	kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
		this.#child.kill(signal);
		return this.#exited;
	}
}
