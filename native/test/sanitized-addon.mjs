// SPDX-License-Identifier: Apache-2.0
// Builds the whole addon with the address and undefined-behaviour sanitizers, runs the tests of the native engine against
// it, and looks for what closed engines leak. Needs g++ and a built workspace.   node native/test/sanitized-addon.mjs
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const compiler = process.env.CXX || "g++";
const library = (name) => execFileSync(compiler, [`-print-file-name=${name}`], { encoding: "utf8" }).trim();
const logs = mkdtempSync(join(tmpdir(), "dyn-sanitized-"));

/** Freed memory is kept from use for a while, but not for long: some tests watch how much the process has. */
const addressOptions = (detectLeaks) =>
	`detect_leaks=${detectLeaks ? 1 : 0}:quarantine_size_mb=8:allocator_may_return_null=1:log_path=${logs}/${detectLeaks ? "leaks" : "errors"}`;

function run(args, detectLeaks) {
	const { status } = spawnSync(process.execPath, args, {
		cwd: root,
		stdio: "inherit",
		env: {
			...process.env,
			// They have to be first in a process that was not built with them.
			LD_PRELOAD: `${library("libasan.so")} ${library("libubsan.so")}`,
			NODE_OPTIONS: `--require ${join(root, "native/test/sanitized-binary.cjs")}`,
			// Node leaves plenty behind of its own: what counts is in the log.
			ASAN_OPTIONS: `${addressOptions(detectLeaks)}${detectLeaks ? ":exitcode=0" : ""}`,
			UBSAN_OPTIONS: `print_stacktrace=1:log_path=${logs}/errors`,
		},
	});
	return status === 0;
}

const reports = (kind) =>
	readdirSync(logs)
		.filter((name) => name.startsWith(kind))
		.map((name) => readFileSync(join(logs, name), "utf8"));

execFileSync(
	process.execPath,
	[join(root, "packages/trtllm-native/scripts/build-native.mjs"), "--sanitize"],
	{
		stdio: "inherit",
	},
);
const passed = run(
	[
		join(root, "node_modules/vitest/vitest.mjs"),
		...["run", "--project", "unit", "packages/trtllm-native/src/native/", "--testTimeout", "180000"],
		// The portable kernels under the sanitizers are minutes here, and the business of run.sh. Where a vector finds no
		// memory the sanitizer ends the process instead of throwing.
		...["--testNamePattern", "^(?!portable|.*no memory for the slots)"],
	],
	false,
);
const errors = reports("errors");
const checked = run(["--expose-gc", join(root, "native/test/leak-check.mjs")], true);
const leaks = reports("leaks")
	.flatMap((report) => report.split("\n\n"))
	.filter((block) => /^\s*(Direct|Indirect) leak/.test(block) && /\bdyn::|dyn_native\.node/.test(block));
rmSync(logs, { recursive: true });
for (const report of [...errors, ...leaks]) console.error(report);
console.log(
	`sanitized addon: tests ${passed ? "passed" : "FAILED"}, ${errors.length} error reports, ${leaks.length} leaks${checked ? "" : ", leak check FAILED"}`,
);
process.exit(passed && checked && errors.length === 0 && leaks.length === 0 ? 0 : 1);
