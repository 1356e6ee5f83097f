// SPDX-License-Identifier: Apache-2.0
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The `dyn-worker` program. */
export const CLI = join(
	dirname(createRequire(import.meta.url).resolve("dyn-worker/package.json")),
	"dist/main.js",
);

/** What the engines that need no GPU serve: it comes with the package. */
const SMALL_MODEL = "smollm2-135m-instruct";

/**
 * @typedef {"agg" | "prefill" | "decode"} Role
 * @typedef {object} StoryWorker
 * @property {Role} role
 * @property {URL} config YAML of the engine's arguments; {AGG,PREFILL,DECODE}_ENGINE_ARGS names another one
 * @property {string} [gpus] for CUDA_VISIBLE_DEVICES. {AGG,PREFILL,DECODE}_CUDA_VISIBLE_DEVICES says otherwise: one word
 *   for each worker of the role, such as "0,1 2,3"
 * @property {number} [kvEvents] the engine tells routers of its KV blocks; rank n at port KV_EVENTS_PORT (default 5557) + this + n
 * @typedef {object} Story
 * @property {string} name
 * @property {string} model of the real deployment; MODEL_PATH says otherwise
 * @property {readonly StoryWorker[]} workers
 * @property {boolean} [kvRouting] whether the frontend is to send requests where their prefix is
 * @property {number} [nodes] machines that one engine takes, when it takes more than one: those are started by Slurm
 * @property {boolean} [attaches] whether the engines run already, at the addresses of ENGINE_ENDPOINTS
 * @property {Record<string, string>} [environment] of the engines
 */

/**
 * What the workers of a story are started with.
 * @param {Story} story
 * @param {string} engine "trtllm", "double" or "embedded"
 * @param {Record<string, string | undefined>} environment
 * @returns {{ name: string, role: Role, engineFlags: string[], env: Record<string, string> }[]} `engineFlags` are understood
 *   by `dyn-worker worker` and by `dyn-worker doctor`
 */
export function workersOf(story, engine, environment) {
	const { MODEL_PATH, SERVED_MODEL_NAME, ENGINE_ENDPOINTS } = environment;
	const model = MODEL_PATH ?? (engine === "trtllm" ? story.model : SMALL_MODEL);
	const counted = { agg: 0, prefill: 0, decode: 0 };
	const endpoints = ENGINE_ENDPOINTS?.split(/[\s,]+/);
	const eventsPort = Number(environment.KV_EVENTS_PORT ?? 5557);
	return story.workers.map(({ role, config, gpus, kvEvents }, index) => {
		const upper = role.toUpperCase();
		const number = counted[role]++;
		const devices = environment[`${upper}_CUDA_VISIBLE_DEVICES`]?.split(/\s+/)[number] ?? gpus;
		const yaml = environment[`${upper}_ENGINE_ARGS`] ?? fileURLToPath(config);
		return {
			name: `${role}-${number + 1}`,
			role,
			engineFlags: [
				...["--model", model],
				...(SERVED_MODEL_NAME ? ["--served-model-name", SERVED_MODEL_NAME] : []),
				...(role === "agg" ? [] : ["--disaggregation-mode", role]),
				// The embedded engine has other limits than those of GPUs.
				...(engine === "embedded" ? [] : ["--extra-engine-args", yaml]),
				...(endpoints && story.attaches ? ["--grpc-endpoint", endpoints[index] ?? ""] : []),
				...(kvEvents === undefined ? [] : ["--publish-kv-events"]),
				...(kvEvents === undefined || engine === "embedded"
					? []
					: ["--kv-events-endpoint", `tcp://127.0.0.1:${eventsPort + kvEvents}`]),
			],
			env: {
				...story.environment,
				...(devices === undefined ? {} : { CUDA_VISIBLE_DEVICES: devices }),
			},
		};
	});
}
