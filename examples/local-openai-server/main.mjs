// SPDX-License-Identifier: Apache-2.0
// An OpenAI server inside a program of your own: runtime, worker and frontend in one process, asked by the official SDK.
// Checks what it gets and exits non-zero when that is wrong.
import assert from "node:assert/strict";
import { createFrontend } from "@dyn/frontend";
import { createRuntime } from "@dyn/runtime";
import { createTrtllmWorker } from "@dyn/trtllm";
import OpenAI from "openai";

const runtime = await createRuntime();
const worker = await createTrtllmWorker({ runtime, engineArgs: { max_seq_len: 1024 } });
const frontend = await createFrontend({ runtime, port: 0 });
await frontend.ready;

const client = new OpenAI({ baseURL: `${frontend.address}/v1`, apiKey: "none" });
const stream = await client.chat.completions.create({
	model: worker.card.name,
	messages: [{ role: "user", content: "What is the capital of France?" }],
	temperature: 0,
	stream: true,
});
let answer = "";
for await (const chunk of stream) answer += chunk.choices[0]?.delta.content ?? "";
console.log(answer);
assert.match(answer, /Paris/);

await frontend.drain();
await worker.drain();
await runtime.close();
