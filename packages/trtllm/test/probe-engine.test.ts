// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { DynError } from "@dyn/common";
import { probeEngine } from "@dyn/trtllm/serve";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const realPython = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], {
	encoding: "utf8",
}).trim();

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "probe-"));
	mkdirSync(join(folder, "bin"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function distribution(name: string, version: string): void {
	const metadata = join(folder, "site", `${name}-${version}.dist-info`);
	mkdirSync(metadata, { recursive: true });
	writeFileSync(join(metadata, "METADATA"), `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`);
}

/** An installed package of that version which nobody may import. */
function install(version: string, { openEngine = true } = {}): void {
	const server = join(folder, "site", "tensorrt_llm", "grpc", openEngine ? "openengine" : "smg");
	distribution("tensorrt_llm", version);
	if (openEngine) distribution("openengine_openengine_grpc_python", "1.67.1");
	mkdirSync(server, { recursive: true });
	writeFileSync(join(folder, "site", "tensorrt_llm", "__init__.py"), "raise SystemExit('imported')\n");
	writeFileSync(join(server, "servicer.py"), "");
}
function program(name: string, text: string): string {
	const file = join(folder, "bin", name);
	writeFileSync(file, text);
	chmodSync(file, 0o755);
	return file;
}
const environment = () => ({
	PATH: [join(folder, "bin"), process.env["PATH"]].join(delimiter),
	PYTHONPATH: join(folder, "site"),
});

describe("probeEngine", () => {
	it("finds the program and the version of the Python in its first line, importing nothing", async () => {
		install("1.3.0rc27");
		program("python3", "#!/bin/sh\nexit 1\n"); // The one on the path is another.
		const python = program("python3.12", `#!/bin/sh\nexec ${realPython} "$@"\n`);
		const serve = program("trtllm-serve", `#!${python}\n`);
		expect(await probeEngine({ environment: environment() })).toEqual({
			command: [serve],
			python,
			version: "1.3.0rc27",
			openEngine: true,
			grpcBindings: ["openengine"],
			executorApi: "removed",
		});
	});

	it.each([
		["#!/usr/bin/env python3\n", "python3"],
		["#!/usr/bin/env -S python3 -u\n", "python3"],
		[`#!/bin/sh\n'''exec' "/usr/bin/env" "$0" "$@"\n`, "/usr/bin/env"],
		["\u007fELF\n", "python3"],
	])("reads the interpreter of %j", async (text, python) => {
		install("1.3.0rc20", { openEngine: false });
		program("trtllm-serve", text);
		const found = probeEngine({ environment: environment() });
		if (python === "/usr/bin/env") await expect(found).rejects.toThrow("/usr/bin/env cannot be asked");
		else
			expect(await found).toMatchObject({
				python,
				version: "1.3.0rc20",
				openEngine: false,
				executorApi: "present",
			});
	});

	it("starts the module when there is no program, or when a Python is named", async () => {
		install("1.4.0");
		expect((await probeEngine({ environment: environment() })).command).toEqual([
			"python3",
			"-m",
			"tensorrt_llm.commands.serve",
		]);
		const python = program("named", `#!/bin/sh\nexec python3 "$@"\n`);
		program("trtllm-serve", "#!/usr/bin/python3\n");
		expect((await probeEngine({ python, environment: environment() })).command[0]).toBe(python);
	});

	it("says how to install it when there is none", async () => {
		const absent = probeEngine({ environment: environment() });
		await expect(absent).rejects.toThrow("there is no TensorRT-LLM in python3");
		await expect(absent).rejects.toThrow('pip install "tensorrt_llm[openengine]"');
		await expect(probeEngine({ python: "/no/python", environment: environment() })).rejects.toThrow(
			"cannot run /no/python (ENOENT)",
		);
	});

	it("does not wait for ever", async () => {
		const python = program("stuck", "#!/bin/sh\nexec sleep 60\n");
		const stuck = probeEngine({ python, environment: environment(), timeoutMs: 200 });
		await expect(stuck).rejects.toSatisfy((error) => DynError.is(error, "DEADLINE_EXCEEDED"));
	});
});
