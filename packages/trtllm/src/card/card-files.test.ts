// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { noMetrics } from "@dyn/common";
import { describeModelFiles } from "@dyn/models";
import { createStatusServer } from "@dyn/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cardFiles } from "./card-files.js";

const path = { namespace: "n", component: "backend", endpoint: "generate" };

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-card-"));
	for (const name of ["config.json", "tokenizer.json", "tokenizer_config.json"])
		await writeFile(join(folder, name), `{"name":"${name}"}`);
});
afterAll(() => rm(folder, { recursive: true }));

describe("the files of a card", () => {
	it("are paths of this machine without a base URL", async () => {
		const files = await cardFiles(folder, "m", path, { cacheDirectory: folder }, {});
		expect(files).toEqual(await describeModelFiles(folder, folder));
		expect(files.config.path).toBe(join(folder, "config.json"));
	});

	it("are URLs that a status server answers", async () => {
		const files = new Map<string, string>();
		const server = await createStatusServer({ port: 0, metrics: noMetrics, endpoints: () => ({}), files });
		const template = join(folder, "mine.jinja");
		await writeFile(template, "mine");
		const metadata = { cacheDirectory: folder, baseUrl: `${server.address}/`, files };
		const card = await cardFiles(folder, "Org/Model.1", path, metadata, { chatTemplatePath: template });
		const base = `${server.address}/v1/metadata/n/backend/generate/org_model_1/_base`;
		expect(card.tokenizer).toEqual({
			...(await describeModelFiles(folder, folder)).tokenizer,
			path: `${base}/tokenizer.json`,
		});
		expect([card.chatTemplate?.path, card.generationConfig]).toEqual([`${base}/chat_template.jinja`, null]);
		for (const [url, file] of [
			[card.config.path, join(folder, "config.json")],
			[card.tokenizer.path, join(folder, "tokenizer.json")],
			[card.tokenizerConfig!.path, join(folder, "tokenizer_config.json")],
			[card.chatTemplate!.path, template],
		] as const)
			expect(await (await fetch(url)).text()).toBe(await readFile(file, "utf8"));
		expect(files.size).toBe(4);
		await server.close();
	});
});
