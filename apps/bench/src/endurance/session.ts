// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Child } from "./child.js";

export const seconds = (count: number): Promise<void> =>
	new Promise((resolve) => setTimeout(resolve, count * 1000));

/** A line for whoever watches; results go to standard output. */
export function progress(began: number, text: string): void {
	const elapsed = Math.round((performance.now() - began) / 1000);
	const clock = `${String(Math.floor(elapsed / 60)).padStart(3)}:${String(elapsed % 60).padStart(2, "0")}`;
	process.stderr.write(`${clock}  ${text}\n`);
}

/** A folder that goes with this process. Ctrl-C and SIGTERM end the process in order from now on, so that children and folder go too. */
export function openSession(): string {
	const folder = mkdtempSync(join(tmpdir(), "dyn-endurance-"));
	process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
	for (const [signal, code] of [
		["SIGINT", 130],
		["SIGTERM", 143],
	] as const)
		process.once(signal, () => process.exit(code));
	return folder;
}

/** A reason for each process that ended by itself, with its last words. */
export function lostChildren(lost: readonly Child[]): string[] {
	return lost.map(({ name, log }) => `${name} ended by itself: ${log.slice(-1000)}`);
}

/** Prints the result, for programs on standard output, for people on standard error; a reason makes the exit code 1. */
export function report(
	result: Readonly<Record<string, unknown>>,
	rows: readonly (readonly [name: string, text: string])[],
	reasons: readonly string[],
): void {
	console.log(JSON.stringify({ ...result, passed: reasons.length === 0, reasons }));
	const width = Math.max(...rows.map(([name]) => name.length));
	for (const [name, text] of rows) process.stderr.write(`  ${name.padEnd(width)}  ${text}\n`);
	process.stderr.write(reasons.length === 0 ? "passed\n" : `FAILED: ${reasons.join("; ")}\n`);
	if (reasons.length > 0) process.exitCode = 1;
}
