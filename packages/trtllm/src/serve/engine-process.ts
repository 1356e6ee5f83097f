// SPDX-License-Identifier: Apache-2.0
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { DynError, type Logger } from "@dyn/common";
import { EngineLog } from "./engine-log.js";
import type { Environment } from "./serve-options.js";

/** Time that the last output gets to arrive after an exit, ms. Bounded: a stray grandchild could hold the pipe open. */
const LAST_OUTPUT_MS = 250;

/**
 * Runs in the engine's Python before it becomes the engine: asks Linux for SIGTERM when this process dies, even by SIGKILL
 * (PR_SET_PDEATHSIG, which survives exec), and leaves if that has happened already. Node itself has no such call.
 */
const DIE_WITH_PARENT = `
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
`;

export interface EngineExit {
	/** Null when a signal ended it or it never started. */
	readonly exitCode: number | null;
	readonly signal: string | null;
	/** Last lines of standard error. */
	readonly lastErrors: readonly string[];
	/** Why it could not be started. */
	readonly startError: NodeJS.ErrnoException | null;
}

export interface EngineProcessOptions {
	readonly command: string;
	readonly argv: readonly string[];
	readonly environment: Environment;
	/** Interpreter to start it through, so that it dies with this process. */
	readonly python?: string | undefined;
	readonly logger: Logger;
}

/** One life of an engine: a process and its children, in a process group of their own. */
export class EngineProcess {
	/** 0 when it could not be started. */
	readonly pid: number;
	/** Resolves, within a moment, when the process has ended and what was left of its group has been killed. */
	readonly exited: Promise<EngineExit>;
	#ended = false;

	constructor({ command, argv, environment, python, logger }: EngineProcessOptions) {
		const [file, args] = python
			? [python, ["-c", DIE_WITH_PARENT, String(process.pid), command, ...argv]]
			: [command, argv];
		const child = spawn(file, args, {
			env: { ...environment },
			stdio: ["ignore", "pipe", "pipe"],
			detached: true,
		});
		const log = new EngineLog(logger);
		// Absent when not even the pipes could be made: too many open files.
		if (child.stdout) log.follow(child.stdout, "stdout");
		if (child.stderr) log.follow(child.stderr, "stderr");
		this.pid = child.pid ?? 0;
		const outputEnded = new Promise<void>((resolve) => child.once("close", () => resolve()));
		this.exited = new Promise((resolve) => {
			child.once("error", (startError) => {
				if (this.pid !== 0) return; // A signal that could not be sent; its exit is still to come.
				this.#ended = true;
				resolve({ exitCode: null, signal: null, lastErrors: [], startError });
			});
			child.once("exit", async (exitCode, signal) => {
				this.#kill("SIGKILL");
				this.#ended = true;
				await Promise.race([outputEnded, delay(LAST_OUTPUT_MS, undefined, { ref: false })]);
				resolve({ exitCode, signal, lastErrors: [...log.lastErrors], startError: null });
			});
		});
	}

	/** SIGTERM to the group, SIGKILL after `graceMs`. Resolves when it has ended. */
	async stop(graceMs: number): Promise<EngineExit> {
		this.#kill("SIGTERM");
		const timer = setTimeout(() => this.#kill("SIGKILL"), graceMs);
		timer.unref();
		const exit = await this.exited;
		clearTimeout(timer);
		return exit;
	}

	#kill(signal: NodeJS.Signals): void {
		if (this.#ended || this.pid === 0) return;
		try {
			process.kill(-this.pid, signal);
		} catch {
			// The group has no member any more.
		}
	}
}

/** "exit code 1", "signal SIGKILL" or what kept it from starting. */
export function describeExit({ exitCode, signal, startError }: EngineExit): string {
	return startError ? startError.message : signal ? `signal ${signal}` : `exit code ${exitCode}`;
}

/** NOT_FOUND when the program does not exist, else UNAVAILABLE, with the last words. */
export function exitError(command: string, exit: EngineExit): DynError {
	const how = describeExit(exit);
	if (exit.startError)
		return new DynError(
			exit.startError.code === "ENOENT" ? "NOT_FOUND" : "UNAVAILABLE",
			`cannot start ${command}: ${how}; dyn-worker doctor --engine trtllm says what is missing`,
			{ cause: exit.startError },
		);
	const words = exit.lastErrors.length > 0 ? `; its last lines were:\n${exit.lastErrors.join("\n")}` : "";
	return new DynError("UNAVAILABLE", `${command} ended with ${how}${words}`, {
		details: { exitCode: exit.exitCode, signal: exit.signal },
	});
}
