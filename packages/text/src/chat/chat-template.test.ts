// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import type { ChatInput } from "./chat-message.js";
import { ChatTemplate, type ChatTemplateOptions } from "./chat-template.js";

async function render(
	template: string,
	input: Partial<ChatInput> = {},
	options: Partial<ChatTemplateOptions> = {},
): Promise<string> {
	const messages = [{ role: "user", content: "hi" }];
	return (await ChatTemplate.create(template, { source: "m", ...options })).render({ messages, ...input });
}

describe("ChatTemplate", () => {
	it("trims blocks as transformers does", async () => {
		const template =
			"{% for m in messages %}\n    {% if true %}\n{{ m.role }}: {{ m.content }}\n    {% endif %}\n{% endfor %}\n.";
		expect(await render(template)).toBe("user: hi\n.");
	});

	it("gives templates their variables", async () => {
		const template =
			"{{ bos_token }}|{{ eos_token }}|{{ tools is none }}|{{ add_generation_prompt }}|{{ enable }}";
		expect(await render(template, { kwargs: { enable: "x" } }, { bosToken: "<s>", eosToken: "</s>" })).toBe(
			"<s>|</s>|true|true|x",
		);
		expect(await render("{{ tools | tojson }}", { tools: [{ name: "f" }], addGenerationPrompt: false })).toBe(
			'[{"name": "f"}]',
		);
		expect(await render("{{ strftime_now('%Y') | int > 2000 }}")).toBe("true");
	});

	it("uses the tool template when there are tools", async () => {
		const options = { toolTemplate: "tools" };
		expect(await render("plain", { tools: [{}] }, options)).toBe("tools");
		expect(await render("plain", { tools: [] }, options)).toBe("plain");
	});

	it("joins text parts for a template that takes strings only", async () => {
		const content = [
			{ type: "text", text: "a" },
			{ type: "text", text: "b" },
		];
		expect(await render("{{ messages[0].content }}", { messages: [{ role: "user", content }] })).toBe("ab");
		const loop =
			"{% if messages[0].content is string %}{{ messages[0].content }}{% else %}{% for p in messages[0].content %}{{ p.text or p.type }}{% if not loop.last %}+{% endif %}{% endfor %}{% endif %}";
		expect(await render(loop, { messages: [{ role: "user", content }] })).toBe("a+b");
		const image = [{ type: "image_url", image_url: {} }];
		expect(await render(loop, { messages: [{ role: "user", content: image }] })).toBe("image_url");
		await expect(
			render("{{ messages[0].content }}", { messages: [{ role: "user", content: image }] }),
		).rejects.toThrow(/INVALID_ARGUMENT.*text only.*image_url/);
	});

	it("passes on the template's own message", async () => {
		const refused = render("{{ raise_exception('roles must alternate') }}");
		await expect(refused).rejects.toMatchObject({ code: "INVALID_ARGUMENT", details: { param: "messages" } });
		await expect(refused).rejects.toThrow(/roles must alternate/);
		await expect(render("{{ nothing() }}")).rejects.toThrow(/INVALID_ARGUMENT/);
	});

	it.each(["chat_template", "messages", "bos_token", "raise_exception"])(
		"does not let a request set %s",
		async (name) => {
			await expect(render("x", { kwargs: { [name]: "y" } })).rejects.toThrow(
				`[INVALID_ARGUMENT] chat_template_kwargs must not set ${name}`,
			);
		},
	);

	it("names the model whose template cannot be parsed", async () => {
		await expect(render("{% if %}")).rejects.toThrow(/MODEL_FORMAT.*chat template of m cannot be parsed/);
		await expect(render(`{{ ${"(".repeat(50_000)} }}`)).rejects.toThrow(/MODEL_FORMAT.*nests too deeply/);
	});

	it.each<[string, RegExp]>([
		["{% for i in range(1000000000) %}{% endfor %}", /range\(\) has more than 100000/],
		[
			"{% if messages[0].content == 'hi' %}{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}{% endif %}",
			/more than 500000 steps/,
		],
		[
			"{% set n = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
			/value that is too large/,
		],
		[
			"{% set n = namespace(s=[1, 2]) %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}",
			/value that is too large/,
		],
		["{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}", /nests too deeply/],
	])("ends %s", async (template, message) => {
		await expect(render(template)).rejects.toThrow(message);
	});
});
