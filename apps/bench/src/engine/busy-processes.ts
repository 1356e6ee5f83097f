// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";

/** Processes that do nothing but use a core each, while they are let. */
export class BusyProcesses {
	readonly #children: readonly ChildProcess[];

	private constructor(children: readonly ChildProcess[]) {
		this.#children = children;
	}

	/** Resolves when they all run, stopped. They end with this process, however it ends (setpriv of util-linux sees to it). */
	static async start(count: number): Promise<BusyProcesses> {
		const program = ["--pdeathsig", "KILL", process.execPath, "-e", "console.log('busy'); for (;;);"];
		const children = Array.from({ length: count }, () =>
			spawn("setpriv", program, { stdio: ["ignore", "pipe", "inherit"] }),
		);
		const busy = new BusyProcesses(children);
		await Promise.all(children.map((child) => once(child.stdout!, "data")));
		busy.#pause();
		return busy;
	}

	get count(): number {
		return this.#children.length;
	}

	/** Runs `work` while they are busy. */
	async during<T>(work: () => Promise<T>): Promise<T> {
		for (const child of this.#children) child.kill("SIGCONT");
		try {
			return await work();
		} finally {
			this.#pause();
		}
	}

	#pause(): void {
		for (const child of this.#children) child.kill("SIGSTOP");
	}

	async close(): Promise<void> {
		await Promise.all(
			this.#children.map(async (child) => {
				const ended = once(child, "exit");
				child.kill("SIGKILL");
				await ended;
			}),
		);
	}
}
