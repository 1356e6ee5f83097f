// SPDX-License-Identifier: Apache-2.0
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseOptions } from "@dyn/common";
import type { EngineFacts, ServeOptions } from "@dyn/trtllm/serve";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { doctorTrtllm } from "../src/commands/doctor-trtllm.js";
import { takeDynamicFlags } from "../src/options/dynamic-flags.js";
import { trtllm } from "../src/options/tables/trtllm.js";

/** The traps that the checks of @dyn/trtllm are tested with; tests are no part of its exports. */
interface Trap {
	readonly code: string;
	readonly severity: "error" | "warning" | "advice";
	readonly what: string;
	readonly fix: string;
	readonly options: Partial<ServeOptions>;
	readonly engine?: EngineFacts;
}
const traps = new URL("../../../packages/trtllm/src/serve/__fixtures__/traps.ts", import.meta.url);
const { TRAPS } = (await import(traps.href)) as { TRAPS: readonly Trap[] };

const cli = fileURLToPath(new URL("../dist/main.js", import.meta.url));

let folder: string;
beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), "doctor-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A TensorRT-LLM that can be found and asked for its version, and nothing else. */
function install({
	version = "1.3.0rc27",
	openEngine = true,
	grpcBindings = ["openengine", "smg"],
}: EngineFacts = {}): Record<string, string> {
	const distribution = (name: string, version: string) => {
		const metadata = join(folder, `${name}-${version}.dist-info`);
		mkdirSync(metadata);
		writeFileSync(join(metadata, "METADATA"), `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`);
	};
	distribution("tensorrt_llm", version!);
	if (grpcBindings.includes("openengine")) distribution("openengine_openengine_grpc_python", "1.67.1");
	if (grpcBindings.includes("smg")) distribution("smg_grpc_proto", "0.4.14");
	const server = join(folder, "tensorrt_llm", "grpc", openEngine ? "openengine" : "smg");
	mkdirSync(server, { recursive: true });
	writeFileSync(join(folder, "tensorrt_llm", "__init__.py"), "raise SystemExit('imported')\n");
	writeFileSync(join(server, "servicer.py"), "");
	return { PYTHONPATH: folder };
}

/** Options of a trap as somebody would type them. */
function typed({ options }: Trap): { argv: string[]; env: Record<string, string> } {
	const argv: string[] = [];
	for (const [name, value] of Object.entries({ maxSeqLen: 4096, ...options })) {
		if (value === undefined || name === "environment") continue;
		if (name === "extraEngineArgs") {
			const file = join(folder, "extra.yaml");
			writeFileSync(file, JSON.stringify(value)); // JSON is YAML.
			argv.push("--extra-engine-args", file);
		} else if (name === "overrideEngineArgs") argv.push("--override-engine-args", JSON.stringify(value));
		else if (name === "dynamicEngineArgs")
			for (const [key, part] of Object.entries(value)) argv.push(`--trtllm.${key}`, String(part));
		else if (name === "logitsProcessors") argv.push("--enable-test-logits-processor");
		else {
			const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
			argv.push(`--${{ protocol: "engine-protocol", host: "engine-host" }[flag] ?? flag}`);
			if (value !== true) argv.push(String(value));
		}
	}
	return { argv, env: (options.environment ?? {}) as Record<string, string> };
}

describe("dyn-worker doctor --engine trtllm names each trap", () => {
	it.each(TRAPS)("$code", async (trap) => {
		const { argv, env } = typed(trap);
		for (const name of trap.engine?.modelFiles ?? []) writeFileSync(join(folder, name), "");
		if (trap.engine?.modelFiles) argv.push("--model", folder);
		const { dynamic, rest } = takeDynamicFlags(argv);
		const { values } = parseOptions(trtllm, rest, env);
		const found = await doctorTrtllm(
			{ ...values, trtllmArgs: dynamic },
			{
				PATH: process.env["PATH"],
				...install({ ...(trap.code === "openengine-missing" ? { openEngine: false } : {}), ...trap.engine }),
				...env,
			},
		);
		const finding = found.find(({ code }) => code === trap.code);
		expect(finding, found.map(({ code }) => code).join(", ")).toBeDefined();
		expect(finding!.level).toBe({ error: "fail", warning: "warn", advice: "tip" }[trap.severity]);
		expect(finding!.what).toContain(trap.what);
		expect(finding!.fix).toContain(trap.fix);
	});
});

describe("the command", () => {
	const run = (args: string[], env: Record<string, string> = {}) =>
		new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
			execFile(
				process.execPath,
				[cli, "doctor", "--engine", "trtllm", ...args],
				{ env: { ...process.env, ...env } },
				(error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
			);
		});

	it("prints what to mend, plain without a terminal, and fails", async () => {
		const { code, stdout } = await run(
			[
				"--disaggregation-mode",
				"prefill",
				"--max-seq-len=4096",
				"--trtllm.disable_overlap_scheduler",
				"false",
			],
			install(),
		);
		expect(code).toBe(1);
		expect(stdout).toMatch(
			/^ok {4}TensorRT-LLM 1\.3\.0rc27 in \S+, with an OpenEngine server, executor API removed$/m,
		);
		expect(stdout).toMatch(
			/^fail {2}the overlap scheduler is on.+\n {6}-> set disable_overlap_scheduler: true/m,
		);
		expect(stdout).toMatch(
			/^ok {4}a worker would start: .*tensorrt_llm\.commands\.serve .* --grpc-protocol openengine /m,
		);
		expect(stdout).not.toContain("\u001b");
	});

	it("is content with a machine that has everything", async () => {
		const smi = join(folder, "nvidia-smi");
		writeFileSync(smi, "#!/bin/sh\necho 'NVIDIA H100 80GB HBM3, 81559 MiB'\n");
		chmodSync(smi, 0o755);
		const { code, stdout } = await run(["--max-seq-len", "4096", "--engine-port", "50999"], {
			...install(),
			PATH: [folder, process.env["PATH"]].join(delimiter),
		});
		expect(stdout).toContain("ok    GPU: NVIDIA H100 80GB HBM3, 81559 MiB\n");
		expect([code, stdout.match(/^(fail|warn) .*/gm)]).toEqual([0, null]);
	});

	it("is JSON for programs", async () => {
		const { code, stdout } = await run(["--json", "--publish-events-and-metrics", "--skip-warmup"]);
		const { ok, findings } = JSON.parse(stdout);
		expect([code, ok]).toEqual([1, false]);
		const codes = findings.map(({ code }: { code?: string }) => code);
		expect(codes).toEqual(
			expect.arrayContaining([
				"engine-missing",
				"context-length-missing",
				"kv-events-out-of-reach",
				"publish-flag-deprecated",
				"option-without-effect",
			]),
		);
		const missing = findings.find((each: { code?: string }) => each.code === "engine-missing");
		expect(missing.fix).toContain('pip install "tensorrt_llm[openengine]"');
	});

	it("refuses what cannot be read as an option with exit code 2", async () => {
		const { code, stderr } = await run(["--trtllm.max_seq_len"]);
		expect([code, stderr]).toEqual([2, expect.stringContaining("--trtllm.max_seq_len needs a value")]);
		expect((await run(["--engine-dir", "/engines"])).stderr).toContain("1.3.0rc20");
	});
});
