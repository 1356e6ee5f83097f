// SPDX-License-Identifier: Apache-2.0
// Two engines compute prompts and two answer; a prompt goes to the prefill engine that has its beginning in the KV cache.
import { runStory } from "../lib/run-story.mjs";

const worker = (role, gpu) => ({
	role,
	gpus: String(gpu),
	// The engines are those of disagg.
	config: new URL(`../disagg/${role}.yaml`, import.meta.url),
	kvEvents: 10 * gpu,
});
export const story = {
	name: "disagg-router",
	model: "Qwen/Qwen3-0.6B",
	kvRouting: true,
	workers: [worker("prefill", 0), worker("prefill", 1), worker("decode", 2), worker("decode", 3)],
	environment: { TLLM_ALLOW_N_GREEDY_DECODING: "1" },
};
await runStory(story, import.meta.url);
