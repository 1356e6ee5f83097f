// SPDX-License-Identifier: Apache-2.0
// Everything that reads a model's files, one after another: checkpoint headers, weights with the native engine, tokenizer,
// chat template. Whatever is in a file, each ends with a result or with a DynError that is no INTERNAL one.
import { DynError } from "../../packages/common/dist/index.js";
import { describeModelFiles, openCheckpoint } from "../../packages/models/dist/index.js";
import { loadChatTemplate, loadTokenizer } from "../../packages/text/dist/index.js";
import { createNativeBackend, loadModelWeights } from "../../packages/trtllm-native/dist/index.js";

const TEXT = "Hello <|im_start|>wörld▁ 12345 \u{1f600}";

/** @returns what each loader did: "ok" or the code of its error. @throws Error naming the loader whose error is none of ours */
export async function loadEverything(path, cache) {
	const outcomes = {};
	for (const [name, load] of Object.entries(loaders)) {
		try {
			await load(path, cache);
			outcomes[name] = "ok";
		} catch (error) {
			if (!DynError.is(error) || error.code === "INTERNAL" || error.message === "")
				throw new Error(`${name} gave an error that is none of ours: ${error?.stack ?? error}`, {
					cause: error,
				});
			outcomes[name] = error.code;
		}
	}
	return outcomes;
}

const loaders = {
	async headers(path) {
		await openCheckpoint(path);
	},
	async weights(path) {
		const weights = await loadModelWeights(path);
		const backend = await createNativeBackend({
			weights,
			numKvBlocks: 2,
			maxSequences: 1,
			maxBatchedTokens: 4,
			threads: 1,
		});
		try {
			await backend.step([
				{ slot: 0, tokens: Uint32Array.of(0), position: 0, blocks: Uint32Array.of(0), output: "logits" },
			]);
		} finally {
			await backend.close();
		}
	},
	async tokenizer(path) {
		const tokenizer = await loadTokenizer(path);
		tokenizer.decode(await tokenizer.encode(TEXT));
		tokenizer.decode(await tokenizer.encode(TEXT, { parseSpecial: true, addSpecialTokens: true }));
		tokenizer.decode([0, 1, tokenizer.vocabSize - 1, tokenizer.vocabSize, 2 ** 31]);
	},
	async template(path) {
		const template = await loadChatTemplate(path);
		const messages = [
			{ role: "system", content: "be brief" },
			{ role: "user", content: TEXT },
		];
		template.render({ messages });
	},
	async description(path, cache) {
		await describeModelFiles(path, cache);
	},
};
