// SPDX-License-Identifier: Apache-2.0
import type { LogitsProcessor } from "@dyn/logits";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { numbers, readOptions } from "./arguments.js";
import { decodeSpeed } from "./decode-speed.js";
import { describeMachine } from "./machine.js";
import { modelFile } from "./model-file.js";
import { spread } from "./statistics.js";

export const usage = `bench logits: decode speed without and with a JavaScript logits processor that touches the whole vocabulary

  --model ID-or-path   smollm2-135m-instruct
  --batch 1,8
  --tokens 64          generated per sequence
  --rounds 11`;

/** Multiplies every logit: the worst ordinary processor. */
const touchEverything = (): LogitsProcessor => ({
	process(_inputIds, logits) {
		for (let i = 0; i < logits.length; i++) logits[i]! *= 0.99;
	},
});

/**
 * Prints one JSON line per batch size: tokens/s plain and with the processor, and the ratio of the two halves of a round,
 * which follow each other at once, either first in turn: what else the machine does for a while slows both.
 */
export async function logitsBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		model: "smollm2-135m-instruct",
		batch: "1,8",
		tokens: "64",
		rounds: "11",
	});
	console.log(JSON.stringify({ machine: describeMachine() }));
	const engine = createEmbeddedEngine({
		modelPath: await modelFile(options.model),
		speculativeMode: "off", // nothing is guessed under a processor, and what is lost by that is not its cost
		logitsProcessors: { "touch-everything": touchEverything },
	});
	await engine.start();
	const tokens = Number(options.tokens);
	const logitsProcessors = [{ name: "touch-everything", args: null }];
	for (const batch of numbers(options.batch)) {
		const plain: number[] = [];
		const processed: number[] = [];
		await decodeSpeed(engine, batch, tokens, {});
		await decodeSpeed(engine, batch, tokens, { logitsProcessors });
		for (let round = 0; round < Number(options.rounds); round++) {
			if (round % 2 === 0) plain.push(await decodeSpeed(engine, batch, tokens, {}));
			processed.push(await decodeSpeed(engine, batch, tokens, { logitsProcessors }));
			if (round % 2 === 1) plain.push(await decodeSpeed(engine, batch, tokens, {}));
		}
		console.log(
			JSON.stringify({
				batch,
				unit: "tok/s",
				plain: spread(plain),
				processor: spread(processed),
				ratio: spread(processed.map((speed, round) => speed / plain[round]!)),
			}),
		);
	}
	await engine.close();
}
