// SPDX-License-Identifier: Apache-2.0
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { checkAnswers, checkPrefixRouting, requestsOf, until } from "./check-answers.mjs";
import { startDouble } from "./engine-double.mjs";
import { freePort, RunningStory } from "./running-story.mjs";

/** Small enough for two cores. */
const SMALL = {
	// Engines that were started already.
	trtllm: ["--grace-period", "0"],
	double: ["--grace-period", "0"],
	embedded: ["--grace-period", "0", "--threads", "1", "--max-seq-len", "1024"],
};
/** So often a story is started: its ports are free when they are chosen, and somebody else's a moment later now and then. */
const START_ATTEMPTS = 3;
const COMPONENT = { agg: "backend", decode: "backend", prefill: "prefill" };

/** What ends a story, and its exit code then. */
const ENDINGS = {
	"Ctrl-C": async (running) => {
		running.interrupt();
		return 0;
	},
	// A prefill worker that has handed KV blocks over waits for as long as somebody may still come for them.
	"two Ctrl-C": async (running) => {
		running.interrupt();
		await until("it is shutting down", async () => running.output.includes('"message":"shutting down"'));
		running.interrupt();
		return 130;
	},
	"a killed worker": async (running) => {
		process.kill([...running.pids().values()].at(-1), "SIGKILL");
		return 1;
	},
};

/**
 * Starts a story as its own program, asks it and ends it.
 * @param {import("./commands.mjs").Story} story
 * @param {string} file its run.mjs
 * @param {string} engine
 * @param {keyof typeof ENDINGS} ending
 * @param {Record<string, string>} [own] further variables
 * @returns {Promise<string>} what was seen, for the reader
 */
export function checkStory(story, file, engine, ending, own = {}) {
	const model = `${story.name}-model`;
	return withStory(story, file, engine, { ...own, SERVED_MODEL_NAME: model }, async (running, address) => {
		const workers = running.workers();
		assert.deepEqual(
			workers.map((each) => `${each.name.split("-")[0]} ${each.model} ${each.endpoint}`).sort(),
			story.workers.map(({ role }) => `${role} ${model} dyn://dynamo.${COMPONENT[role]}.generate`).sort(),
		);
		const isDisaggregated = story.workers.some(({ role }) => role === "decode");
		await checkAnswers(address, model, workers, isDisaggregated && engine !== "embedded");
		if (story.kvRouting && !running.output.includes("no stock Dynamo")) {
			const among = workers.filter(({ name }) => !isDisaggregated || name.startsWith("prefill"));
			await checkPrefixRouting(address, model, among);
		}
		const counts = await Promise.all(workers.map(requestsOf));
		const code = await ENDINGS[ending](running);
		assert.equal(await running.exitCode(), code, `the exit code after ${ending}`);
		return `${workers.map(({ name }, i) => `${name} ${counts[i]}`).join(", ")} requests; ended by ${ending}`;
	});
}

/** The same with doubles that run already, and that must go on when the story has ended. */
export async function checkAttached(story, file, _engine, ending) {
	const doubles = await Promise.all(story.workers.map(({ config }) => startDouble(fileURLToPath(config))));
	const own = {
		MODEL_PATH: "smollm2-135m-instruct",
		ENGINE_ENDPOINTS: doubles.map(({ address }) => address).join(" "),
	};
	const seen = await checkStory(story, file, "trtllm", ending, own);
	for (const double of doubles) await double.end();
	return seen;
}

async function withStory(story, file, engine, own, use) {
	const running = await startStory(file, engine, own);
	try {
		const seen = await use(running, await running.address());
		assert.equal(running.pids().size, story.workers.length + 1);
		const engines = running.enginePids();
		assert.equal(engines.length, engine === "double" ? story.workers.length : 0);
		const all = [...running.pids().values(), ...engines];
		await until("no process of the story is left", async () => !all.some(isAlive));
		return seen;
	} catch (error) {
		running.kill();
		throw new Error(`${story.name}: ${error.message}\n${running.output.slice(-6000)}`, { cause: error });
	}
}

async function startStory(file, engine, own) {
	for (let attempt = 1; ; attempt++) {
		const [http, events] = [await freePort(), await freePort()];
		const env = { DYN_HTTP_PORT: String(http), KV_EVENTS_PORT: String(events), ...own };
		const running = new RunningStory(file, ["--engine", engine, ...SMALL[engine]], env);
		const served = await running.address().catch(() => null);
		if (served !== null || attempt === START_ATTEMPTS || !/in use/i.test(running.output)) return running;
		await running.exitCode();
	}
}

function isAlive(pid) {
	try {
		process.kill(pid, 0);
		return true;
	} catch {
		return false;
	}
}
