// SPDX-License-Identifier: Apache-2.0
// Prefill and decode engines whose experts are spread over many GPUs of several machines, with copies of the busy ones.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "wide-ep",
	model: "deepseek-ai/DeepSeek-R1",
	nodes: 2,
	workers: [
		{ role: "prefill", config: new URL("prefill.yaml", import.meta.url) },
		{ role: "decode", config: new URL("decode.yaml", import.meta.url) },
	],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
