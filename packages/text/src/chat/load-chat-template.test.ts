// SPDX-License-Identifier: Apache-2.0
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fixturePath } from "../__fixtures__/fixture-path.js";
import { loadChatTemplate } from "./load-chat-template.js";

let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-text-"));
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, value: unknown): Promise<void> =>
	writeFile(join(folder, name), typeof value === "string" ? value : JSON.stringify(value));
const input = { messages: [{ role: "user", content: "hi" }] };

describe("loadChatTemplate", () => {
	it("reads tokenizer_config.json", async () => {
		const template = await loadChatTemplate(fixturePath("byte-level"));
		expect(template.render(input)).toBe("<|start|>user hi<|end|><|start|>assistant ");
	});

	it("prefers chat_template.jinja, and an override to both", async () => {
		await write("tokenizer_config.json", { chat_template: "config", eos_token: { content: "</s>" } });
		expect((await loadChatTemplate(folder)).render(input)).toBe("config");
		await write("chat_template.jinja", "file {{ eos_token }}");
		expect((await loadChatTemplate(folder)).render(input)).toBe("file </s>");
		await write("mine.jinja", "mine {{ eos_token }}");
		expect((await loadChatTemplate(folder, join(folder, "mine.jinja"))).render(input)).toBe("mine </s>");
	});

	it("knows the list form", async () => {
		const chat_template = [
			{ name: "default", template: "plain" },
			{ name: "tool_use", template: "tools" },
		];
		await write("tokenizer_config.json", { chat_template });
		const template = await loadChatTemplate(folder);
		expect([template.render(input), template.render({ ...input, tools: [{}] })]).toEqual(["plain", "tools"]);
	});

	it("says how to pass a template when the model has none", async () => {
		await write("tokenizer_config.json", {});
		const template = await loadChatTemplate(folder);
		expect(() => template.render(input)).toThrow(/INVALID_ARGUMENT.*no chat template; pass the path/);
	});

	it("names what cannot be read", async () => {
		await write("tokenizer_config.json", "{");
		await expect(loadChatTemplate(folder)).rejects.toThrow(
			/MODEL_FORMAT.*tokenizer_config.json is not readable/,
		);
		await write("tokenizer_config.json", "null");
		await expect(loadChatTemplate(folder)).rejects.toThrow(/MODEL_FORMAT.*must be an object/);
		await write("tokenizer_config.json", {});
		await expect(loadChatTemplate(folder, join(folder, "no.jinja"))).rejects.toThrow(
			/INVALID_ARGUMENT.*no.jinja/,
		);
		await mkdir(join(folder, "chat_template.jinja"));
		await expect(loadChatTemplate(folder)).rejects.toThrow(
			/MODEL_FORMAT.*chat_template.jinja cannot be read/,
		);
		await expect(loadChatTemplate(join(folder, "none"))).rejects.toThrow(/NOT_FOUND/);
	});
});
