// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** Time that the others get to finish when one has failed, ms. */
const FAREWELL_MS = 10_000;
/** Exit code of a program that was told twice to end. */
const FORCED = 130;

/**
 * Processes that live and end together: when one ends by itself, all are told to end, and that is a failure. The first
 * SIGINT or SIGTERM is passed on and lets running requests finish; the second ends everything at once.
 */
export class ProcessGroup {
	#members = new Map();
	#ending = false;
	#failed = false;
	#whenEnded;
	/** Resolves with the exit code when the last process has ended: 0 when a signal ended them and all ended well. */
	ended = new Promise((resolve) => {
		this.#whenEnded = resolve;
	});
	/** Aborted when the group begins to end. */
	signal;
	#endingSignal = new AbortController();

	constructor() {
		this.signal = this.#endingSignal.signal;
		process.on("exit", () => this.#kill("SIGKILL"));
		for (const name of ["SIGINT", "SIGTERM"])
			process.on(name, () => {
				if (this.#ending) process.exit(FORCED);
				this.#end();
			});
	}

	/**
	 * @param {{ name: string, command: string, args: readonly string[], env: Record<string, string> }} member
	 * @param {RegExp} ready of the line that says that it is; default: any
	 * @returns {Promise<void>} rejects when the group ends first
	 */
	async start({ name, command, args, env }, ready = /^/) {
		// In a process group of its own: a terminal's Ctrl-C comes to this process alone, and each gets one signal from here.
		const child = spawn(command, args, {
			env: { ...process.env, ...env },
			stdio: ["ignore", "pipe", "pipe"],
			detached: true,
		});
		this.#members.set(name, child);
		child.once("error", (error) => this.#show(name, error.message));
		child.once("spawn", () => this.#show(name, `started, pid ${child.pid}`));
		child.once("close", (code, signal) => this.#ended(name, signal ?? code));
		await new Promise((resolve, reject) => {
			for (const stream of [child.stdout, child.stderr])
				createInterface({ input: stream }).on("line", (line) => {
					this.#show(name, line);
					if (ready.test(line)) resolve();
				});
			this.signal.addEventListener("abort", () => reject(new Error(`${name} was not ready before the end`)));
		});
	}

	#show(name, line) {
		process.stdout.write(`${name.padEnd(10)} ${line}\n`);
	}

	#ended(name, how) {
		this.#members.delete(name);
		if (!this.#ending) this.#show(name, `ended with ${how}: so do the others`);
		// A process without a handler ends with the signal that it was sent.
		if (!this.#ending || (how !== 0 && how !== "SIGTERM")) this.#failed = true;
		if (!this.#ending) this.#end();
		if (this.#members.size === 0) this.#whenEnded(this.#failed ? 1 : 0);
	}

	#end() {
		this.#ending = true;
		this.#endingSignal.abort();
		this.#kill("SIGTERM");
		if (this.#failed) setTimeout(() => this.#kill("SIGKILL"), FAREWELL_MS).unref();
		if (this.#members.size === 0) this.#whenEnded(this.#failed ? 1 : 0);
	}

	#kill(signal) {
		for (const child of this.#members.values()) child.kill(signal);
	}
}
