// SPDX-License-Identifier: Apache-2.0
// One engine computes prompts, another one answers.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "disagg",
	model: "Qwen/Qwen3-0.6B",
	workers: [
		{ role: "prefill", gpus: "0", config: new URL("prefill.yaml", import.meta.url) },
		{ role: "decode", gpus: "1", config: new URL("decode.yaml", import.meta.url) },
	],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
