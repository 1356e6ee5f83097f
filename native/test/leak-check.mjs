// SPDX-License-Identifier: Apache-2.0
// What engines leave behind: made, used and closed, refused half-way through their load, and never closed. Run by
// sanitized-addon.mjs with --expose-gc and the leak sanitizer, which looks when this process ends.
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRequestContext } from "../../packages/common/dist/index.js";
import { createGenerateRequest } from "../../packages/protocols/dist/index.js";
import { createEmbeddedEngine } from "../../packages/trtllm-native/dist/index.js";
import { writeSmallCheckpoint } from "../../scripts/lib/small-checkpoint.mjs";

const folder = mkdtempSync(join(tmpdir(), "dyn-leaks-"));
writeSmallCheckpoint(folder);
const request = () =>
	createGenerateRequest({
		tokenIds: [5, 6],
		sampling: { temperature: 1, seed: 3 },
		stop: { maxTokens: 20, ignoreEos: true },
	});
let tokens = 0;

async function live({ closed }) {
	const engine = createEmbeddedEngine({ modelPath: folder, threads: 2, maxNumSeqs: 4, numKvBlocks: 8 });
	await engine.start();
	for await (const { tokenIds } of engine.generate(request(), createRequestContext()))
		tokens += tokenIds.length;
	if (closed) await engine.close();
}

for (let i = 0; i < 5; i++) await live({ closed: true });
await live({ closed: false });
const broken = join(folder, "model.safetensors");
truncateSync(broken, 3000);
let refused = 0;
for (let i = 0; i < 5; i++) await live({ closed: true }).catch(() => refused++);
rmSync(folder, { recursive: true });
globalThis.gc();
await new Promise((resolve) => setImmediate(resolve)); // finalizers
console.log(`${tokens} tokens, ${refused} refused`);
