// SPDX-License-Identifier: Apache-2.0
// One engine of several machines, started by Slurm as one MPI world.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "multinode",
	model: "deepseek-ai/DeepSeek-R1",
	nodes: 2,
	workers: [{ role: "agg", config: new URL("agg.yaml", import.meta.url) }],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
