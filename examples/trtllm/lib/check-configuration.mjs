// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { CLI, workersOf } from "./commands.mjs";

/** Findings about this machine, which need not be one with GPUs. */
const OF_THE_MACHINE = new Set(["engine-missing", "gpu-missing", "shared-memory-small", "port-taken"]);
/** Variables that would replace a story's own settings. */
const OWN = /^(MODEL_PATH|SERVED_MODEL_NAME|DYN_TRTLLM_\w+|\w+_ENGINE_ARGS|\w+_CUDA_VISIBLE_DEVICES)$/;

/**
 * Asks `dyn-worker doctor` about every engine of a story as it would be on real GPUs.
 * @param {import("./commands.mjs").Story} story
 */
export async function checkConfiguration(story) {
	const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !OWN.test(name)));
	for (const { name, engineFlags, env } of workersOf(story, "trtllm", environment)) {
		const findings = await findingsOf(engineFlags, { ...environment, ...env });
		const wrong = findings.filter(
			({ level, code }) => (level === "fail" || level === "warn") && !OF_THE_MACHINE.has(code),
		);
		assert.deepEqual(wrong, [], `${story.name}, ${name}`);
		// It has read the story's YAML, and would start an engine with it.
		assert.ok(findings.some(({ code }) => code === "command"));
	}
}

/** What the doctor says of an engine with these flags. */
export function findingsOf(flags, env) {
	return new Promise((resolve, reject) => {
		const args = [CLI, "doctor", "--engine", "trtllm", "--json", ...flags];
		execFile(process.execPath, args, { env }, (_error, stdout, stderr) => {
			try {
				resolve(JSON.parse(stdout).findings);
			} catch (error) {
				reject(new Error(`the doctor said: ${stdout}${stderr}`, { cause: error }));
			}
		});
	});
}
