// SPDX-License-Identifier: Apache-2.0
// An engine drafts tokens with the model's own multi-token-prediction layer and accepts those that it would have chosen.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "mtp",
	model: "nvidia/DeepSeek-R1-FP4",
	workers: [{ role: "agg", gpus: "0,1,2,3", config: new URL("agg.yaml", import.meta.url) }],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
