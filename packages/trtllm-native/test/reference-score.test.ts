// SPDX-License-Identifier: Apache-2.0
import { createModelStore } from "@dyn/models/store";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { expect, it } from "vitest";
import { FORCED_TOKENS, forcedTokens, LIMITS, scoreEngine } from "./reference-score.js";

it("follows the f32 reference on the native Q4_1 file", async () => {
	const { path } = await createModelStore().resolve("smollm2-135m-instruct", { pull: true });
	const engine = createEmbeddedEngine({
		modelPath: path,
		logitsProcessors: { [FORCED_TOKENS]: forcedTokens },
	});
	await engine.start();
	try {
		const score = await scoreEngine(engine, LIMITS.q4);
		console.log(JSON.stringify(score));
		expect(score.failures).toEqual([]);
	} finally {
		await engine.close();
	}
});
