// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describeModelFiles } from "@dyn/models";
import { createModelStore, DEFAULT_MODEL } from "@dyn/models/store";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
// @boundaries-ignore started from here only, by scripts that .ci/run uses too; install: node scripts/peers/install-dynamo.mjs
import { startStockFrontend, startStockMocker } from "../../../../scripts/peers/stock-dynamo.mjs";
import type { ChatMessage } from "../../src/index.js";

let work: string;
let frontend: Awaited<ReturnType<typeof startStockFrontend>>;
let mocker: Awaited<ReturnType<typeof startStockMocker>>;
beforeAll(async () => {
	work = await mkdtemp(join(tmpdir(), "dyn-stock-"));
	const gguf = (await createModelStore().resolve(DEFAULT_MODEL, { pull: true })).path;
	const modelDirectory = dirname((await describeModelFiles(gguf, join(work, "models"))).config.path);
	const store = join(work, "store");
	// Its cache of fetched files is below the home folder.
	frontend = await startStockFrontend({ store, env: { HOME: work } });
	mocker = await startStockMocker({
		store,
		modelDirectory,
		modelName: "described",
		flags: ["--speedup-ratio", "1000000"],
	});
	await vi.waitUntil(
		async () => (await (await fetch(`${frontend.address}/v1/models`)).text()).includes('"described"'),
		{
			timeout: 30_000,
		},
	);
});
afterAll(async () => {
	await Promise.all([frontend?.kill(), mocker?.kill()]);
	await rm(work, { recursive: true });
});

/** Tokens of the prompt as stock counts them. */
async function promptTokens(path: string, body: object): Promise<number | undefined> {
	const response = await fetch(frontend.address + path, {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: JSON.stringify({ model: "described", max_tokens: 2, ...body }),
	});
	expect(response.status, frontend.log().slice(-2000)).toBe(200);
	const { usage } = (await response.json()) as { usage: Record<string, number> };
	expect(usage["completion_tokens"]).toBe(2);
	return usage["prompt_tokens"];
}

describe("Dynamo's frontend and worker with the files written for a GGUF model", () => {
	let cases: { text: string; ids: number[]; messages?: ChatMessage[] }[];
	beforeAll(async () => {
		const read = async (name: string): Promise<typeof cases> =>
			JSON.parse(await readFile(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8"));
		cases = [...(await read("prompts")), ...(await read("tokenizer-cases"))];
	});

	it("render and encode chats as we do", async () => {
		const chats = cases.filter(({ messages }) => messages);
		expect(chats).toHaveLength(9);
		for (const { messages, ids, text } of chats)
			expect(await promptTokens("/v1/chat/completions", { messages }), text).toBe(ids.length);
	});

	it("encode texts as we do", async () => {
		const texts = cases.filter(({ ids }) => ids.length > 0);
		expect(texts.length).toBeGreaterThan(240);
		for (const { text, ids } of texts)
			expect(await promptTokens("/v1/completions", { prompt: text }), JSON.stringify(text)).toBe(ids.length);
	});
});
