// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describeModelFiles } from "@dyn/models";
import { createModelStore, DEFAULT_MODEL } from "@dyn/models/store";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
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

it("Dynamo's frontend and worker serve a model from the files written for it, with the same prompts", async () => {
	const prompts: { messages?: ChatMessage[]; ids: number[] }[] = JSON.parse(
		await readFile(new URL("../fixtures/prompts.json", import.meta.url), "utf8"),
	);
	const chats = prompts.filter(({ messages }) => messages);
	expect(chats).toHaveLength(9);
	for (const { messages, ids } of chats) {
		const response = await fetch(`${frontend.address}/v1/chat/completions`, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify({ model: "described", messages, max_tokens: 4 }),
		});
		expect(response.status, frontend.log().slice(-2000)).toBe(200);
		const { usage, choices } = (await response.json()) as {
			usage: Record<string, number>;
			choices: { finish_reason: string }[];
		};
		expect(usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 4 });
		expect(choices[0]!.finish_reason).toBe("length");
	}
});
