// SPDX-License-Identifier: Apache-2.0
// Workers for engines that somebody else started, and looks after: they outlive the story.
import { runStory } from "../lib/run-story.mjs";

const worker = { role: "agg", config: new URL("agg.yaml", import.meta.url) };
export const story = {
	name: "attach",
	model: "Qwen/Qwen3-0.6B",
	attaches: true,
	workers: [worker, worker],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
