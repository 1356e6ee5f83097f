// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findingsOf } from "./check-configuration.mjs";
import { workersOf } from "./commands.mjs";
import { freePort, RunningStory } from "./running-story.mjs";

/**
 * What must not start: an engine that was built for the C++ executor, and a worker whose settings are not there.
 * @param {import("./commands.mjs").Story} story
 * @param {string} file its run.mjs
 * @param {string} engine
 */
export async function checkRefusals(story, file, engine) {
	const folder = await mkdtemp(join(tmpdir(), "dyn-prebuilt-"));
	try {
		await writeFile(join(folder, "rank0.engine"), "");
		const [{ engineFlags }] = workersOf(story, "trtllm", { MODEL_PATH: folder });
		const findings = await findingsOf(engineFlags, process.env);
		assert.ok(findings.some(({ level, code }) => level === "fail" && code === "prebuilt-engine"));

		const missing = join(folder, "missing.yaml");
		const env = { DYN_HTTP_PORT: String(await freePort()), AGG_ENGINE_ARGS: missing };
		const running = new RunningStory(file, ["--engine", engine], env);
		assert.equal(await running.exitCode(), 1);
		assert.match(running.output, new RegExp(`agg-1 .*${missing}`));
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
}
