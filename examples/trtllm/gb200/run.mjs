// SPDX-License-Identifier: Apache-2.0
// A prefill engine of one GB200 tray and a decode engine of eight, in one NVLink domain.
import { runStory } from "../lib/run-story.mjs";

export const story = {
	name: "gb200",
	model: "nvidia/DeepSeek-R1-FP4",
	nodes: 8,
	workers: [
		{ role: "prefill", config: new URL("prefill.yaml", import.meta.url) },
		{ role: "decode", config: new URL("decode.yaml", import.meta.url) },
	],
	environment: {
		TLLM_ALLOW_N_GREEDY_DECODING: "1",
		// Memory of other trays over NVLink.
		NCCL_MNNVL_ENABLE: "1",
		NCCL_CUMEM_ENABLE: "1",
		NCCL_NVLS_ENABLE: "1",
		NVIDIA_GDRCOPY: "1",
	},
};
await runStory(story, import.meta.url);
