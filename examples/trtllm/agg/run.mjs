// SPDX-License-Identifier: Apache-2.0
// One engine answers requests whole.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "agg",
	model: "Qwen/Qwen3-0.6B",
	workers: [{ role: "agg", config: new URL("agg.yaml", import.meta.url) }],
	// Several answers to one request at temperature 0.
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
