// SPDX-License-Identifier: Apache-2.0
import { afterAll, expect, it } from "vitest";
import { checkpointFolder, huggingFace } from "../../src/model/__fixtures__/tiny-checkpoint.js";
import { cycles, NOTHING_LEFT } from "../fixtures/engine-cycles.js";
import { runEngineProcess } from "../fixtures/engine-process.js";

const folder = checkpointFolder();
afterAll(() => folder.dispose());

it("a thousand engines one after another leave no memory, threads and files behind", async () => {
	const model = await folder.saveHuggingFace(huggingFace("llama"));
	const left = runEngineProcess(model, cycles(1000), { timeoutMs: 600_000 });
	console.log(`left behind by a thousand engines: ${JSON.stringify(left)}`);
	expect(left).toEqual(NOTHING_LEFT);
});
