// SPDX-License-Identifier: Apache-2.0
// Two engines answer requests whole; a request goes to the one that has its beginning in the KV cache.
import { runStory } from "../lib/run-story.mjs";

const worker = (gpu) => ({
	role: "agg",
	gpus: String(gpu),
	config: new URL("agg.yaml", import.meta.url),
	kvEvents: 10 * gpu,
});
export const story = {
	name: "agg-router",
	model: "Qwen/Qwen3-0.6B",
	kvRouting: true,
	workers: [worker(0), worker(1)],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
