// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const native = fileURLToPath(new URL("../../../../native", import.meta.url));

describe("thread pool", () => {
	const folder = mkdtempSync(join(tmpdir(), "dyn-thread-pool-"));
	const program = join(folder, "check");

	beforeAll(() => {
		const sources = ["test/thread-pool-check.cpp", "src/thread_pool.cpp"].map((file) => join(native, file));
		execFileSync(process.env["CXX"] ?? "g++", ["-std=c++17", "-O3", "-pthread", ...sources, "-o", program]);
	}, 60_000);
	afterAll(() => rmSync(folder, { recursive: true }));

	// A chunk that runs twice makes its phase wait for ever: the time limit is what fails then.
	it.each([1, 2, 3, 8])("runs every chunk once and passes errors on: %i threads", (threads) => {
		const { status, stdout } = spawnSync(program, [String(threads), "400000"], {
			encoding: "utf8",
			timeout: 25_000,
		});
		expect({ status, stdout }).toEqual({ status: 0, stdout: "ok\n" });
	});
});
