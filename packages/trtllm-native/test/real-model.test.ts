// SPDX-License-Identifier: Apache-2.0
import { it, expect } from "vitest";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { scoreEngine, LIMITS, forcedTokens, FORCED_TOKENS } from "./reference-score.js";
for (const [precision, limits] of [["auto", LIMITS.q4]] as const)
it("scores " + precision, async () => {
	const engine = createEmbeddedEngine({ modelPath: "/tmp/w/model/SmolLM2-135M-Instruct.Q4_1.gguf", precision, logitsProcessors: { [FORCED_TOKENS]: forcedTokens } });
	const t = performance.now();
	console.log(await engine.start(), performance.now() - t);
	const s = await scoreEngine(engine, limits);
	console.log(s, performance.now() - t, engine.load());
	expect(s.failures).toEqual([]);
	await engine.close();
});
