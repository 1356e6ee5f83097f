// SPDX-License-Identifier: Apache-2.0
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MODEL, ServerProcess } from "./server-process.js";

const folder = fileURLToPath(new URL("../.cache/python-openai/", import.meta.url));
const python = join(folder, "bin/python");
const requirement = "openai==3.52.0";

let server: ServerProcess;
beforeAll(async () => {
	if (!existsSync(join(folder, requirement))) {
		mkdirSync(folder, { recursive: true });
		execFileSync("python3", ["-m", "venv", folder]);
		execFileSync(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement], {
			stdio: "inherit",
		});
		mkdirSync(join(folder, requirement));
	}
	server = await ServerProcess.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());

it("serves the official openai SDK for Python", async () => {
	const program = fileURLToPath(new URL("./openai_sdk.py", import.meta.url));
	const { stdout } = await promisify(execFile)(python, [program, `${server.address}/v1`, MODEL]);
	expect(stdout.trim().split("\n").at(-1)).toBe("all passed");
});
