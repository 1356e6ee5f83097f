// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { CLI, workersOf } from "./commands.mjs";
import { frontendOf } from "./frontend.mjs";
import { ProcessGroup } from "./process-group.mjs";

/** The real engine is started through its own Python, which ends it when its worker is killed. So is the double, with any. */
const DIES_WITH_ITS_WORKER = ["--trtllm-python", "python3"];

/**
 * Runs a story when its file is the program, and ends the program with it; does nothing when the file is imported.
 *   --engine trtllm|double|embedded   default trtllm
 *   --doctor                          asks dyn-worker doctor about every engine and starts nothing
 * All other arguments go to every worker.
 * @param {import("./commands.mjs").Story} story
 * @param {string} file import.meta.url of the story
 */
export async function runStory(story, file) {
	if (realpathSync(process.argv[1]) !== fileURLToPath(file)) return;
	const { engine, doctor, rest } = argumentsOf(process.argv.slice(2));
	const workers = workersOf(story, engine, process.env);
	if (doctor) process.exit(askDoctor(workers, rest));
	if (engine === "trtllm" && story.nodes !== undefined) {
		console.error(
			`${story.name} has engines of ${story.nodes} machines each: Slurm starts it, see its README.md`,
		);
		process.exit(2);
	}
	process.exit(await start(story, engine, workers, rest));
}

function argumentsOf(argv) {
	const engineAt = argv.indexOf("--engine");
	const engine = engineAt < 0 ? (process.env.DYN_ENGINE ?? "trtllm") : argv[engineAt + 1];
	const rest = argv.filter(
		(word, i) => word !== "--doctor" && (engineAt < 0 || ![0, 1].includes(i - engineAt)),
	);
	return { engine, doctor: argv.includes("--doctor"), rest };
}

/** The exit code: 1 when an engine would not start. */
function askDoctor(workers, rest) {
	const codes = workers.map(({ name, engineFlags, env }) => {
		console.log(`\n${name}`);
		const args = [CLI, "doctor", "--engine", "trtllm", ...engineFlags, ...rest];
		return spawnSync(process.execPath, args, { env: { ...process.env, ...env }, stdio: "inherit" }).status;
	});
	return codes.some((code) => code !== 0) ? 1 : 0;
}

async function start(story, engine, workers, rest) {
	// Without other instructions the processes of this host find each other through a folder that nobody else knows.
	const folder = mkdtempSync(join(tmpdir(), `dyn-${story.name}-`));
	const discovery = { DYN_DISCOVERY_BACKEND: "file", DYN_FILE_KV: folder };
	const shared = process.env.DYN_DISCOVERY_BACKEND ? {} : discovery;
	const group = new ProcessGroup();
	// After the group's own: nobody may write into it any more. Those that were just killed may take a moment.
	process.on("exit", () => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }));
	try {
		const frontend = frontendOf(story, process.env);
		await Promise.all([
			group.start({ name: "frontend", ...frontend, env: { ...shared, ...frontend.env } }),
			...workers.map(({ name, engineFlags, env }) => {
				const kind = ["--engine", engine, ...(engine === "double" ? DIES_WITH_ITS_WORKER : [])];
				const args = [CLI, "worker", ...kind, "--system-port", "0", ...engineFlags, ...rest];
				const command = { name, command: process.execPath, args, env: { ...shared, ...env } };
				return group.start(command, /is served as/);
			}),
		]);
		const answering = workers.filter(({ role }) => role !== "prefill");
		await untilServed(frontend.address, answering.length, group.signal);
		console.log(`${story.name} is served at ${frontend.address}; Ctrl-C ends it`);
	} catch (error) {
		// The group is ending, and has said why.
		if (!group.signal.aborted) throw error;
	}
	return group.ended;
}

/** Until the frontend has a model to serve, and so many workers that answer with it. */
async function untilServed(address, count, signal) {
	const get = async (path) => (await fetch(`${address}${path}`, { signal })).json().catch(() => ({}));
	for (;;) {
		signal.throwIfAborted();
		const { instances = [] } = await get("/health").catch(() => ({}));
		const { data = [] } = await get("/v1/models").catch(() => ({}));
		const found = instances.filter(({ endpoint }) => endpoint === "generate").length;
		if (data.length > 0 && found >= count) return;
		await delay(50, undefined, { signal });
	}
}
