// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DynError, type OptionSpec } from "@dyn/common";
import { openModelStore } from "../options/assemble.js";
import { FRONTEND, WORKER } from "../options/commands.js";
import type { Values } from "../options/values.js";
import { terminalLogger } from "../terminal/terminal.js";

/** cluster up: a frontend and several workers as processes of this host, for trying things. */
export async function cluster(values: Values, [action, ...rest]: readonly string[]): Promise<number> {
	if (action !== "up" || rest.length > 0)
		throw new DynError("INVALID_ARGUMENT", "cluster takes one word: dyn-worker cluster up --workers 2");
	// Once, here: the workers would all wait for the first one's download.
	const logger = terminalLogger(values, "warn");
	const model = (values["model"] as string | undefined) ?? "smollm2-135m-instruct";
	await openModelStore(values, logger).resolve(model, { pull: true });
	const directory = values["fileKv"] === undefined ? await mkdtemp(join(tmpdir(), "dyn-cluster-")) : null;
	const shared: Values = {
		...(values["logConfig"] === undefined ? { logLevel: "warn" } : {}),
		...values,
		...(directory ? { fileKv: directory } : {}),
	};
	const fleet = new Fleet();
	try {
		const workers = (values["workers"] as number | undefined) ?? 2;
		fleet.start("frontend", ["frontend", ...toArguments(FRONTEND.options, shared)]);
		for (let i = 1; i <= workers; i++)
			fleet.start(`worker-${i}`, ["worker", ...toArguments(WORKER.options, { graceSeconds: 0, ...shared })]);
		process.stdout.write("Kill a worker to see its requests move to another one. Ctrl-C stops all.\n");
		return await fleet.untilStopped();
	} finally {
		if (directory) await rm(directory, { recursive: true, force: true });
	}
}

/** The options of `specs` that have a value, as a command line. */
export function toArguments(specs: readonly OptionSpec[], values: Values): string[] {
	return specs.flatMap(({ name, flags, type }) => {
		const value = values[name];
		if (value === undefined) return [];
		const flag = `--${flags[0]}`;
		if (type === "boolean") return value === true ? [flag] : [];
		return (Array.isArray(value) ? value : [value]).flatMap((each) => [flag, String(each)]);
	});
}

/** Child processes whose output is shown with their names. */
class Fleet {
	readonly #running = new Map<string, ChildProcess>();
	#whenEmpty: () => void = () => {};
	#isStopping = false;

	start(name: string, args: readonly string[]): void {
		const child = spawn(process.execPath, [process.argv[1]!, ...args], { stdio: ["ignore", "pipe", "pipe"] });
		this.#running.set(name, child);
		for (const stream of [child.stdout, child.stderr])
			createInterface({ input: stream }).on("line", (line) => process.stdout.write(`${name}  ${line}\n`));
		process.stdout.write(`${name}  started, pid ${child.pid}\n`);
		child.once("exit", (code, signal) => {
			this.#running.delete(name);
			if (!this.#isStopping) process.stdout.write(`${name}  ended with ${signal ?? code}\n`);
			if (this.#running.size === 0) this.#whenEmpty();
		});
	}

	/** Resolves with the exit code when all have ended: after a signal, or by themselves. */
	untilStopped(): Promise<number> {
		return new Promise((resolve) => {
			this.#whenEmpty = () => resolve(this.#isStopping ? 0 : 1);
			// A terminal sends Ctrl-C to all of them; a signal to this process alone is passed on.
			process.on("SIGINT", () => {
				this.#isStopping = true;
			});
			process.on("SIGTERM", () => {
				this.#isStopping = true;
				for (const child of this.#running.values()) child.kill("SIGTERM");
			});
		});
	}
}
