// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { createServer } from "node:net";
import { promisify } from "node:util";

export interface Finding {
	readonly level: "ok" | "tip" | "warn" | "fail";
	/** Stable name, where programs may want to know. */
	readonly code?: string;
	readonly what: string;
	/** What to do. */
	readonly fix?: string;
}

const run = promisify(execFile);

/** First line that a program writes, or null when it is not there or fails. */
export async function firstLine(command: string, args: string[]): Promise<string | null> {
	return run(command, args, { timeout: 10_000 }).then(
		({ stdout }) => stdout.split("\n", 1)[0]!,
		() => null,
	);
}

/** @param flag the option that chooses another port */
export function portIsFree(host: string, port: number, flag: string): Promise<Finding> {
	return new Promise((resolve) => {
		const server = createServer();
		server.once("error", (error) =>
			resolve({
				level: "warn",
				code: "port-taken",
				what: `port ${port} on ${host}: ${error.message}`,
				fix: `stop what uses it, or pass another ${flag}`,
			}),
		);
		server.listen(port, host, () =>
			server.close(() => resolve({ level: "ok", code: "port", what: `port ${port} is free` })),
		);
	});
}

const COLOURS: Readonly<Record<Finding["level"], string>> = { ok: "32", tip: "36", warn: "33", fail: "31" };

/** One line per finding, and a second one with what to do. */
export function showFindings(findings: readonly Finding[], colour: boolean): string {
	const lines = findings.map(({ level, what, fix }) => {
		const padded = level.padEnd(4);
		const label = colour ? `\u001b[${COLOURS[level]}m${padded}\u001b[0m` : padded;
		return `${label}  ${what}${fix ? `\n      -> ${fix}` : ""}\n`;
	});
	return lines.join("");
}
