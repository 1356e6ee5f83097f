// SPDX-License-Identifier: Apache-2.0
// A process of other software that a test talks to.
import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";

/** Characters of output that are kept, the newest. */
const LOG_LENGTH = 1 << 20;
/** Longest start that is waited for, ms; a busy machine needs several seconds. */
const START_MS = 60_000;

/**
 * Starts a process that the kernel kills when this one ends, however it ends (Linux; setpriv is of util-linux).
 * @param {object} options
 * @param {string} options.name for error messages
 * @param {(log: string, signal: AbortSignal) => T | undefined | Promise<T>} options.ready asked at every output until it
 *   returns something, which when resolved means that the process is ready; `signal` aborts when nobody waits any more
 * @returns {Promise<{value: T, peer: Peer}>} when it is ready
 * @template T
 * @typedef {object} Peer
 * @property {number} pid
 * @property {() => string} log its newest output, without colours
 * @property {Promise<{code: number | null, signal: string | null}>} closed resolves with how it ended
 * @property {(signal?: string) => Promise<unknown>} kill sends a signal (default SIGTERM); resolves as `closed` does
 */
export async function startPeer({ name, command, args, env, ready }) {
	const child = spawn("setpriv", ["--pdeathsig", "KILL", command, ...args], {
		env: { ...process.env, ...env },
		stdio: ["ignore", "pipe", "pipe"],
	});
	let output = "";
	const log = () => stripVTControlCharacters(output);
	const closed = new Promise((resolve) => {
		child.once("error", (error) => resolve({ code: null, signal: null, error }));
		child.once("close", (code, signal) => resolve({ code, signal }));
	});
	const kill = (signal = "SIGTERM") => {
		child.kill(signal);
		return closed;
	};
	const given = new AbortController();
	const timer = setTimeout(() => given.abort(new Error(`not ready after ${START_MS / 1000} s`)), START_MS);
	closed.then(({ code, signal, error }) =>
		given.abort(error ?? new Error(`it ended with ${signal ?? code}`)),
	);
	try {
		const value = await new Promise((resolve, reject) => {
			given.signal.addEventListener("abort", () => reject(given.signal.reason), { once: true });
			let found;
			const read = (chunk) => {
				output = (output + chunk).slice(-LOG_LENGTH);
				if (found !== undefined) return;
				found = ready(log(), given.signal);
				if (found !== undefined) Promise.resolve(found).then(resolve, reject);
			};
			for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", read);
		});
		return { value, peer: { pid: child.pid, log, closed, kill } };
	} catch (error) {
		await kill("SIGKILL");
		throw new Error(`${name} did not start: ${error.message}\n${log().slice(-4000)}`, { cause: error });
	} finally {
		clearTimeout(timer);
		given.abort();
	}
}
