// SPDX-License-Identifier: Apache-2.0
// Every schema of the corpus with the packaged model: what it writes is judged by an independent validator.
import { createRequestContext } from "@dyn/common";
import type { Engine } from "@dyn/engine";
import { createModelStore } from "@dyn/models/store";
import { createGenerateRequest } from "@dyn/protocols";
import { loadTokenizer, type Tokenizer } from "@dyn/text";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { afterAll, beforeAll, expect, it } from "vitest";
// @boundaries-ignore fixtures of two packages, which none publishes
import { objections } from "../../../logits/src/grammar/__fixtures__/judge.js";
// @boundaries-ignore fixtures of two packages, which none publishes
import { SCHEMAS } from "../../../logits/src/grammar/__fixtures__/schemas.js";

/** Answers may ramble where a schema lets them; those that are cut off cannot be judged. */
const MAX_TOKENS = 200;
const AT_ONCE = 8;
let engine: Engine;
let tokenizer: Tokenizer;
let prompt: Uint32Array;
beforeAll(async () => {
	const { path } = await createModelStore().resolve("smollm2-135m-instruct", { pull: true });
	tokenizer = await loadTokenizer(path);
	prompt = await tokenizer.encode("A short example of such a value, in JSON: ");
	engine = createEmbeddedEngine({ modelPath: path });
	await engine.start();
});
afterAll(() => engine.close());

async function write(schema: unknown, seed: number): Promise<{ text: string; whole: boolean }> {
	const request = createGenerateRequest({
		tokenIds: prompt,
		guided: { kind: "json_schema", schema: JSON.stringify(schema) },
		sampling: { temperature: 0.8, seed },
		stop: { maxTokens: MAX_TOKENS },
	});
	const tokens: number[] = [];
	let whole = false;
	for await (const { tokenIds, finishReason } of engine.generate(request, createRequestContext())) {
		tokens.push(...tokenIds);
		whole ||= finishReason === "stop" || finishReason === "eos";
	}
	return { text: tokenizer.decode(tokens), whole };
}

it("answers of the packaged model satisfy every schema", async () => {
	const judged: string[] = [];
	let cut = 0;
	const left = SCHEMAS.map((schema, seed) => ({ schema, seed }));
	await Promise.all(
		Array.from({ length: AT_ONCE }, async () => {
			for (let next = left.pop(); next; next = left.pop()) {
				const { schema, seed } = next;
				const { text, whole } = await write(schema, seed);
				const objection = whole ? objections(schema, text) : null;
				if (!whole) cut++;
				else judged.push(text);
				if (objection !== null) expect.fail(`${JSON.stringify(schema)}: ${objection}: ${text}`);
			}
		}),
	);
	console.log(`${judged.length} answers judged, ${cut} cut off`);
	expect(judged.length).toBeGreaterThan(SCHEMAS.length * 0.8);
});
