// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** Longest start that is waited for, ms: a busy machine with two cores needs several seconds for each process. */
const START_MS = 60_000;
/** Longest end: prefill workers wait half a minute for those who fetch KV blocks. */
const END_MS = 60_000;

/** A story as a child process, with what it has written about its own children. */
export class RunningStory {
	#child;
	#output = "";
	/** Resolves with the exit code, or the signal that ended it. */
	ended;

	/**
	 * @param {string} file the story's run.mjs
	 * @param {readonly string[]} args
	 * @param {Record<string, string>} env on top of this process's
	 */
	constructor(file, args, env) {
		this.#child = spawn(process.execPath, [file, ...args], {
			env: { ...process.env, ...env },
			stdio: ["ignore", "pipe", "pipe"],
		});
		const stop = () => this.#child.kill("SIGTERM");
		process.once("exit", stop);
		this.ended = new Promise((resolve) => {
			this.#child.once("close", (code, signal) => {
				process.off("exit", stop);
				resolve(signal ?? code);
			});
		});
		for (const stream of [this.#child.stdout, this.#child.stderr])
			stream.setEncoding("utf8").on("data", (text) => {
				this.#output += text;
			});
	}

	get output() {
		return this.#output;
	}

	/** Resolves when the story is served, with the frontend's address. */
	async address() {
		const began = performance.now();
		let ended = null;
		void this.ended.then((how) => {
			ended = how;
		});
		for (;;) {
			const address = / is served at (\S+);/.exec(this.#output)?.[1];
			if (address) return address;
			if (ended !== null) throw new Error(`ended with ${ended} before it served`);
			if (performance.now() - began > START_MS) throw new Error(`not served after ${START_MS / 1000} s`);
			await delay(20);
		}
	}

	/** Its processes by name: "frontend", "agg-1", "prefill-1" and so on. */
	pids() {
		const started = this.#output.matchAll(/^(\S+) +started, pid (\d+)$/gm);
		return new Map([...started].map(([, name, pid]) => [name, Number(pid)]));
	}

	/** Engines that its workers have started. */
	enginePids() {
		const ready = this.#output.matchAll(/"message":"the engine is ready".*"pid":(\d+)/g);
		return [...ready].map(([, pid]) => Number(pid));
	}

	/** Its workers as they registered. */
	workers() {
		const served = this.#output.matchAll(/^(\S+) +(\S+) is served as (dyn:\S+) .*status at (\S+)\/health$/gm);
		return [...served].map(([, name, model, endpoint, status]) => ({ name, model, endpoint, status }));
	}

	/** The exit code, or the signal that ended it. */
	async exitCode() {
		const late = new AbortController();
		const timeout = delay(END_MS, null, { signal: late.signal }).catch(() => {});
		const how = await Promise.race([this.ended, timeout]);
		late.abort();
		if (how === null) throw new Error(`not ended after ${END_MS / 1000} s`);
		return how;
	}

	/** Ends it and its processes at once. */
	kill() {
		this.#child.kill("SIGTERM");
		this.#child.kill("SIGINT");
	}

	interrupt() {
		this.#child.kill("SIGINT");
	}
}

export function freePort() {
	return new Promise((resolve, reject) => {
		const server = createServer().once("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}
