// SPDX-License-Identifier: Apache-2.0
// Run inside an empty project that has the packed @dyn/trtllm: a worker over a tiny checkpoint made on the spot.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGenerateRequest } from "@dyn/protocols";
import { createTrtllmWorker } from "@dyn/trtllm";
import { writeSmallCheckpoint } from "./small-checkpoint.mjs";

const folder = mkdtempSync(join(tmpdir(), "dyn-tiny-"));
writeSmallCheckpoint(folder);
const worker = await createTrtllmWorker({ model: folder });
let tokens = 0;
for await (const { tokenIds } of worker.generate(
	createGenerateRequest({ tokenIds: [5, 6], stop: { maxTokens: 4, ignoreEos: true } }),
))
	tokens += tokenIds.length;
await worker.close();
rmSync(folder, { recursive: true });
if (tokens !== 4) throw new Error(`${tokens} tokens instead of 4`);
