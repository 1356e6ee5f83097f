// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const program = fileURLToPath(new URL("./fixtures/encode-new-words.mjs", import.meta.url));

/** In a process of its own: what other tests leave in this one would drown it. */
it("does not keep what it has encoded", () => {
	const { stdout, stderr, status } = spawnSync(process.execPath, ["--expose-gc", program, "12000"], {
		encoding: "utf8",
	});
	expect(status, stderr).toBe(0);
	const grownMb = Number(stdout);
	console.log(`12,000 prompts of new words: ${grownMb} MB`);
	expect(grownMb).toBeLessThan(12); // 30 with the native tokenizer's own cache of words
}, 60_000);
