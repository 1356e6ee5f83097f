// SPDX-License-Identifier: Apache-2.0
// Requests of every kind share the steps of a busy engine, with guesses and on several ranks, and answer bit for bit as they do
// alone in an engine of one thread that guesses nothing.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "@dyn/engine";
import type { GenerateRequestInit } from "@dyn/protocols";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { saveAdapter, testAdapter } from "../lora/__fixtures__/peft-adapter.js";
import { checkpointFolder, huggingFace } from "../model/__fixtures__/tiny-checkpoint.js";
import { buildNative } from "../native/__fixtures__/tiny-model.js";
import { loadNativeBinding } from "../native/loader.js";
import { collect, greedy, text } from "./__fixtures__/ask.js";
import { createEmbeddedEngine } from "./embedded-engine.js";
import type { EmbeddedEngineOptions, IterationStats } from "./options.js";

buildNative();
const { isas } = loadNativeBinding();
const RANKS = 2;
const checkpoints = checkpointFolder();
const root = mkdtempSync(join(tmpdir(), "dyn-everything-"));
let modelPath: string;
const adapters: Record<string, string> = {};

/** One token per letter, digit and space, so that answers can be guided. */
function writeTokenizer(folder: string): void {
	const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
	const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
	const controls = ["<unk>", "<s>", "</s>"];
	const letters = [..."\u0120abcdefghijklmnopqrstuvwxyz0123456789"]; // U+0120 stands for the space
	const document = {
		version: "1.0",
		added_tokens: controls.map((content, id) => ({ id, content, ...flags })),
		truncation: null,
		padding: null,
		normalizer: null,
		pre_tokenizer: byteLevel,
		post_processor: null,
		decoder: byteLevel,
		model: {
			type: "BPE",
			dropout: null,
			unk_token: null,
			continuing_subword_prefix: null,
			end_of_word_suffix: null,
			fuse_unk: false,
			byte_fallback: false,
			ignore_merges: false,
			vocab: Object.fromEntries([...controls, ...letters].map((token, id) => [token, id])),
			merges: [],
		},
	};
	writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(document));
	writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify({ eos_token: "</s>" }));
}

beforeAll(async () => {
	const model = huggingFace("llama");
	modelPath = await checkpoints.saveHuggingFace(model);
	writeTokenizer(modelPath);
	for (const [name, seed] of [
		["one", 1],
		["two", 2],
	] as const)
		adapters[name] = await saveAdapter(root, name, testAdapter(model, seed, { rank: 5 * seed }));
});
afterAll(() => {
	checkpoints.dispose();
	rmSync(root, { recursive: true });
});

async function started(options: Partial<EmbeddedEngineOptions>): Promise<Engine> {
	const engine = createEmbeddedEngine({
		modelPath,
		numKvBlocks: 64,
		logitsProcessors: {
			dampen: () => ({
				process(inputIds, logits) {
					for (const id of logits.keys()) logits[id]! *= 0.9;
					logits[inputIds.at(-1)!]! -= 1;
				},
			}),
			nothing: () => ({ process() {} }),
			nonsense: () => ({
				process(inputIds, logits) {
					if (inputIds.length > again.length + 10) logits[5] = Number.NaN;
				},
			}),
		},
		...options,
	});
	await engine.start();
	for (const [name, path] of Object.entries(adapters)) await engine.lora!.load(name, path);
	return engine;
}

/** Repeats itself, as prompts do that are worth guesses. */
const again = [...text(1, 12, 40), ...text(1, 12, 40), ...text(1, 12, 40)];
const dampen = [{ name: "dampen", args: null }];
const seeded = { temperature: 1, seed: 7 };
const penalised = { presencePenalty: 0.7, frequencyPenalty: 0.5, repetitionPenalty: 1.3 };
const words = { badWords: [[30], [4, 5], again.slice(-2)] };
const regex = { kind: "regex", pattern: "[a-m]{4,9}( [0-9]{3}){3} [n-z]{2,20}" } as const;
const choice = { kind: "choice", choices: ["one 1", "two 22", "twelve 12"] } as const;

const asked: Readonly<Record<string, GenerateRequestInit>> = {
	greedy: { tokenIds: again },
	"a long prompt": { tokenIds: text(2, 150, 40) },
	"a seed": { tokenIds: again, sampling: seeded },
	"cut off": { tokenIds: text(3, 20, 40), sampling: { ...seeded, topK: 20, topP: 0.9, minP: 0.01 } },
	penalties: { tokenIds: again, sampling: penalised },
	choices: { tokenIds: text(4, 40, 40), sampling: { ...seeded, n: 3 } },
	"an adapter": { tokenIds: again, lora: "one" },
	"another adapter": { tokenIds: again, lora: "two", sampling: { ...seeded, ...words } },
	"bad words": { tokenIds: again, sampling: words },
	"bad words and penalties": { tokenIds: again, sampling: { ...words, ...penalised } },
	"a processor": { tokenIds: again, logitsProcessors: dampen },
	"a processor of nothing": {
		tokenIds: again,
		logitsProcessors: [{ name: "nothing", args: null }],
		sampling: { ...seeded, ...penalised, ...words },
	},
	"the same without": { tokenIds: again, sampling: { ...seeded, ...penalised, ...words } },
	"a processor, an adapter and bad words": {
		tokenIds: again,
		logitsProcessors: dampen,
		lora: "two",
		sampling: { ...seeded, ...words },
	},
	"a regular expression": { tokenIds: again, guided: regex },
	"a form, an adapter and bad words": { tokenIds: again, guided: regex, lora: "one", sampling: words },
	"a form and a processor": { tokenIds: again, guided: choice, logitsProcessors: dampen, sampling: seeded },
};
const request = (init: GenerateRequestInit, dpRank: number | null) =>
	greedy({
		...init,
		stop: { maxTokens: 40, ignoreEos: !init.guided },
		output: { logprobs: 4 },
		routing: { dpRank },
	});

/** Tokens with all their log-probabilities, and why it ended, by choice. */
async function answer(engine: Engine, init: GenerateRequestInit, dpRank: number | null) {
	const outputs = await collect(engine, request(init, dpRank));
	return Array.from({ length: init.sampling?.n ?? 1 }, (_, index) => {
		const own = outputs.filter((output) => output.index === index);
		return [own.flatMap(({ logprobs }) => logprobs ?? []), own.at(-1)!.finishReason];
	});
}

describe.each(isas)("%s", (isa) => {
	it("everything at once is as each alone", async () => {
		const alone = await started({ isa, threads: 1, speculativeMode: "off" });
		const expected: Record<string, unknown> = {};
		for (const [name, init] of Object.entries(asked)) expected[name] = await answer(alone, init, null);
		await alone.close();

		const steps: IterationStats[] = [];
		const busy = await started({
			isa,
			threads: 4,
			dpSize: RANKS,
			maxNumSeqs: 16,
			maxNumBatchedTokens: 96,
			speculativeMode: "prompt-lookup",
			speculativeTokens: 5,
			onIteration: (stats) => steps.push(stats),
		});
		for (const turned of [false, true]) {
			const names = turned ? Object.keys(asked).reverse() : Object.keys(asked);
			const answers = names.flatMap((name, i) =>
				Array.from({ length: RANKS }, async (_, rank) => {
					const dpRank = (rank + i) % RANKS;
					expect([name, dpRank, await answer(busy, asked[name]!, dpRank)]).toEqual([
						name,
						dpRank,
						expected[name],
					]);
				}),
			);
			const failing = Array.from({ length: RANKS }, (_, rank) =>
				expect(
					answer(busy, { tokenIds: again, logitsProcessors: [{ name: "nonsense", args: null }] }, rank),
				).rejects.toMatchObject({ code: "LOGITS_PROCESSOR_FAILED", details: { processor: "nonsense" } }),
			);
			await Promise.all([...answers, ...failing]);
		}
		await busy.close();

		// It happened: full batches and guesses that came true and that did not on each rank, and adapters that matter.
		for (let rank = 0; rank < RANKS; rank++) {
			const own = steps.filter(({ dpRank }) => dpRank === rank);
			expect(Math.max(...own.map(({ runningSequences }) => runningSequences))).toBeGreaterThanOrEqual(12);
			const { draftTokens, acceptedDraftTokens } = own.at(-1)!;
			expect(acceptedDraftTokens).toBeGreaterThan(0);
			expect(draftTokens).toBeGreaterThan(acceptedDraftTokens);
		}
		expect(expected["an adapter"]).not.toEqual(expected["greedy"]);
		expect(expected["bad words"]).not.toEqual(expected["greedy"]);
		expect(expected["a processor"]).not.toEqual(expected["greedy"]);
		expect(expected["a processor of nothing"]).toEqual(expected["the same without"]);
	});
});
