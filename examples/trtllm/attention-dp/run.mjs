// SPDX-License-Identifier: Apache-2.0
// One engine with several ranks of data-parallel attention, each with a KV cache and KV events of its own.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "attention-dp",
	model: "nvidia/DeepSeek-R1-FP4",
	workers: [
		{
			role: "agg",
			gpus: "0,1,2,3",
			config: new URL("agg.yaml", import.meta.url),
			kvEvents: 0,
		},
	],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
