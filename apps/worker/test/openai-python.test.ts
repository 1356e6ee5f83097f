// SPDX-License-Identifier: Apache-2.0
import { execFile, execFileSync } from "node:child_process";
import { existsSync, renameSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MODEL, ServerProcess } from "./server-process.js";

const requirement = "openai==3.52.0";
const folder = fileURLToPath(new URL(`../.cache/${requirement}/`, import.meta.url));

let server: ServerProcess;
beforeAll(async () => {
	if (!existsSync(folder)) {
		// Into a folder of its own: neither a virtual environment nor the system's packages are needed or touched.
		const unfinished = `${folder.slice(0, -1)}.${process.pid}`;
		execFileSync(
			"python3",
			["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", unfinished, requirement],
			{ stdio: "inherit" },
		);
		renameSync(unfinished, folder);
	}
	server = await ServerProcess.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());

it("serves the official openai SDK for Python", async () => {
	const program = fileURLToPath(new URL("./openai_sdk.py", import.meta.url));
	const { stdout } = await promisify(execFile)("python3", [program, `${server.address}/v1`, MODEL], {
		env: { ...process.env, PYTHONPATH: folder },
	});
	expect(stdout.trim().split("\n").at(-1)).toBe("all passed");
});
