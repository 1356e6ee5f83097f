// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { buildNative } from "./__fixtures__/tiny-model.js";

const script = fileURLToPath(new URL("../../scripts/build-native.mjs", import.meta.url));
const binary = fileURLToPath(new URL("../../build/Release/dyn_native.node", import.meta.url));

function build(args: string[], env: Record<string, string>) {
	return spawnSync(process.execPath, [script, ...args], { env, encoding: "utf8" });
}

describe("build-native", () => {
	it("does nothing when nothing changed", () => {
		buildNative();
		const { mtimeMs } = statSync(binary);
		const { status, stdout } = build([], process.env as Record<string, string>);
		expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
		expect(statSync(binary).mtimeMs).toBe(mtimeMs);
	});

	it("names the fix when there is no compiler, or CXX is none", () => {
		const without = build(["--force"], { PATH: "" });
		expect(without.status).toBe(1);
		expect(without.stderr).toMatch(/apt-get install g\+\+.*set CXX/);
		const wrong = build(["--force"], { PATH: process.env["PATH"]!, CXX: "/nowhere/c++" });
		expect(wrong.status).toBe(1);
		expect(wrong.stderr).toMatch(/CXX names does not run: \/nowhere\/c\+\+/);
	});
});
