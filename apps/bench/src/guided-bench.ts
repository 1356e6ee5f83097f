// SPDX-License-Identifier: Apache-2.0
import { createLocalGrammars, createVocabulary, type Guide } from "@dyn/logits/grammar";
import { loadTokenizer, type Tokenizer } from "@dyn/text";
import { createEmbeddedEngine } from "@dyn/trtllm-native";
import { numbers, readOptions } from "./arguments.js";
import { decodeSpeed } from "./decode-speed.js";
import { describeMachine } from "./machine.js";
import { modelFile } from "./model-file.js";
import { spread } from "./statistics.js";

export const usage = `bench guided: what answers under a schema cost: compiling, masks, and decode speed beside free answers

  --model ID-or-path   smollm2-135m-instruct
  --batch 1,8
  --tokens 64          generated per sequence
  --rounds 5`;

const string = (maxLength: number) => ({ type: "string", maxLength });
/** The document of the measurement: strings with bounds are the hard part of a schema. */
const SCHEMA = {
	type: "object",
	properties: {
		title: string(60),
		summary: string(400),
		tags: { type: "array", items: string(20), minItems: 1, maxItems: 5 },
		rating: { type: "integer", minimum: 1, maximum: 5 },
	},
	required: ["title", "summary", "tags", "rating"],
};
const SAMPLE = {
	title: "A short history of tea",
	summary: "Tea was first drunk as a medicine. It spread along trade routes and changed them.",
	tags: ["history", "drinks", "trade"],
	rating: 4,
};
const GUIDE: Guide = { kind: "json_schema", schema: JSON.stringify(SCHEMA) };

/** Prints one JSON line about grammars, then one per batch size: tokens/s free and guided, alternating, and their ratio. */
export async function guidedBench(argv: readonly string[]): Promise<void> {
	const options = readOptions(argv, {
		model: "smollm2-135m-instruct",
		batch: "1,8",
		tokens: "64",
		rounds: "5",
	});
	console.log(JSON.stringify({ machine: describeMachine() }));
	const path = await modelFile(options.model);
	console.log(JSON.stringify(await grammarCosts(await loadTokenizer(path))));
	const engine = createEmbeddedEngine({ modelPath: path });
	await engine.start();
	const tokens = Number(options.tokens);
	for (const batch of numbers(options.batch)) {
		const free: number[] = [];
		const guided: number[] = [];
		await decodeSpeed(engine, batch, tokens, { guided: GUIDE });
		for (let round = 0; round < Number(options.rounds); round++) {
			free.push(await decodeSpeed(engine, batch, tokens, {}));
			guided.push(await decodeSpeed(engine, batch, tokens, { guided: GUIDE }));
		}
		const [without, withSchema] = [spread(free), spread(guided)];
		const ratio = withSchema.median / without.median;
		console.log(JSON.stringify({ batch, unit: "tok/s", free: without, guided: withSchema, ratio }));
	}
	await engine.close();
}

/** Times on one thread, ms: the tree of the vocabulary, a schema's first mask, and the masks of a whole document, twice. */
async function grammarCosts(tokenizer: Tokenizer): Promise<object> {
	const vocabulary = createVocabulary(tokenizer.vocabSize, (id) =>
		tokenizer.isSpecial(id) ? new Uint8Array(0) : tokenizer.tokenBytes(id),
	);
	const [grammars, vocabularyMs] = timed(() => createLocalGrammars(vocabulary));
	const ids = await tokenizer.encode(JSON.stringify(SAMPLE), { addSpecialTokens: false });
	const documents: { compileMs: number; maskMs: ReturnType<typeof spread>; slowestMaskMs: number }[] = [];
	for (let document = 0; document < 2; document++) {
		const began = performance.now();
		const text = await grammars.open(GUIDE);
		const compileMs = performance.now() - began;
		const masks = Array.from(ids, (id) => timed(() => text.accept(id))[1]);
		documents.push({ compileMs, maskMs: spread(masks), slowestMaskMs: Math.max(...masks) });
		text.close();
	}
	return { vocabularyMs, tokens: ids.length, first: documents[0], again: documents[1] };
}

function timed<T>(work: () => T): readonly [T, number] {
	const began = performance.now();
	const result = work();
	return [result, performance.now() - began];
}
