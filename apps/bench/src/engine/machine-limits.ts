// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { peerCache, peerSources } from "../repository.js";
import type { Isa } from "./llama-cpp.js";

export interface MachineLimits {
	/** Measured with the size next to `bytes`. */
	bytesPerSecond(bytes: number): number;
	/** A multiplication and an addition are two. Absent: the instruction set has no such. */
	readonly operationsPerSecond: { readonly fp32: number; readonly bf16?: number; readonly int8: number };
}

/** Best of several runs in this minute; takes a few seconds. `sizes`: bytes to measure reading with. */
export function measureLimits(threads: number, isa: Isa, sizes: readonly number[]): MachineLimits {
	const source = join(peerSources, "machine-limits.cpp");
	const program = join(peerCache, "machine-limits");
	if (!existsSync(program) || statSync(program).mtimeMs < statSync(source).mtimeMs) {
		mkdirSync(peerCache, { recursive: true });
		execFileSync("g++", ["-O2", "-std=c++17", "-pthread", source, "-o", program], { stdio: "inherit" });
	}
	const mebibytes = new Set(sizes.map((bytes) => String(Math.max(1, Math.round(bytes / 2 ** 20)))));
	return parseLimits(execFileSync(program, [String(threads), isa, ...mebibytes], { encoding: "utf8" }));
}

/** What the program printed; of two figures for the same numbers, vectors and tiles, the better one. */
export function parseLimits(output: string): MachineLimits {
	const operations = new Map<string, number>();
	const reading: { bytes: number; speed: number }[] = [];
	for (const [what, ...values] of output.split("\n").map((line) => line.split(" "))) {
		if (what === "read") reading.push({ bytes: Number(values[0]) * 2 ** 20, speed: Number(values[1]) });
		else if (what) operations.set(what, Math.max(operations.get(what) ?? 0, Number(values[0])));
	}
	const bf16 = operations.get("bf16");
	return {
		bytesPerSecond: (bytes) => {
			const distance = (size: number) => Math.abs(Math.log(size / bytes));
			return reading.reduce((a, b) => (distance(b.bytes) < distance(a.bytes) ? b : a)).speed;
		},
		operationsPerSecond: {
			fp32: operations.get("fp32")!,
			...(bf16 !== undefined && { bf16 }),
			int8: operations.get("int8")!,
		},
	};
}
