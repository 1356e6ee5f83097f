// SPDX-License-Identifier: Apache-2.0
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MODEL, ServerProcess } from "./server-process.js";

let server: ServerProcess;
let client: OpenAI;
beforeAll(async () => {
	server = await ServerProcess.start();
	client = new OpenAI({ baseURL: `${server.address}/v1`, apiKey: "none", maxRetries: 0 });
});
afterAll(() => server?.[Symbol.asyncDispose]());

const city = {
	type: "object",
	properties: {
		name: { type: "string", maxLength: 20 },
		country: { enum: ["France", "Italy", "Spain"] },
		inhabitants: { type: "integer", minimum: 1000, maximum: 40_000_000 },
		capital: { type: "boolean" },
	},
	required: ["name", "country", "inhabitants", "capital"],
	additionalProperties: false,
};
const body = {
	model: MODEL,
	messages: [{ role: "user" as const, content: "Describe Paris as JSON." }],
	max_tokens: 120,
	temperature: 0,
};
const as = (schema: Record<string, unknown>) => ({
	response_format: { type: "json_schema" as const, json_schema: { name: "answer", strict: true, schema } },
});

function expectCity(text: string): void {
	const value = JSON.parse(text) as Record<string, unknown>;
	expect(Object.keys(value)).toEqual(Object.keys(city.properties));
	expect(value).toMatchObject({ name: expect.any(String), capital: expect.any(Boolean) });
	expect(city.properties.country.enum).toContain(value["country"]);
	expect(Number.isSafeInteger(value["inhabitants"])).toBe(true);
	expect(value["inhabitants"]).toBeGreaterThanOrEqual(1000);
}

describe("the official openai SDK asks for", () => {
	it("JSON that satisfies a schema", async () => {
		const answer = await client.chat.completions.create({ ...body, ...as(city) });
		expectCity(answer.choices[0]!.message.content!);
		expect(answer.choices[0]!.finish_reason).toBe("stop");
	});

	it("the same as a stream, and as several choices beside others", async () => {
		const streamed = async () => {
			let text = "";
			for await (const chunk of await client.chat.completions.create({ ...body, ...as(city), stream: true }))
				text += chunk.choices[0]?.delta.content ?? "";
			return text;
		};
		const [text, free, several] = await Promise.all([
			streamed(),
			client.chat.completions.create({ ...body, max_tokens: 20 }),
			client.chat.completions.create({ ...body, ...as(city), temperature: 1, seed: 3, n: 3 }),
		]);
		expectCity(text);
		expect(free.choices[0]!.message.content).not.toBe("");
		expect(several.choices).toHaveLength(3);
		for (const { message } of several.choices) expectCity(message.content!);
	});

	it("any JSON object", async () => {
		const answer = await client.chat.completions.create({
			...body,
			max_tokens: 400,
			response_format: { type: "json_object" },
			temperature: 0.7,
			seed: 1,
		});
		const { content } = answer.choices[0]!.message;
		if (answer.choices[0]!.finish_reason === "stop") expect(JSON.parse(content!)).toBeTypeOf("object");
		else expect(content).toMatch(/^\{/);
	});

	it("one of some texts, or what an expression or a grammar describes", async () => {
		const ask = async (more: object) => {
			const answer = await client.chat.completions.create({ ...body, ...more });
			return answer.choices[0]!.message.content;
		};
		expect(["yes", "no"]).toContain(await ask({ guided_choice: ["yes", "no"] }));
		expect(await ask({ guided_regex: "\\d{3}-\\d{4}" })).toMatch(/^\d{3}-\d{4}$/);
		expect(await ask({ guided_grammar: 'root ::= "a" [0-9]+ "z"', guided_regex: null })).toMatch(/^a\d+z?$/);
	});
});

describe("what cannot be honoured is refused", () => {
	it.each([
		[
			as({ type: "object", properties: { a: { type: "integer", multipleOf: 5 } } }),
			'"multipleOf" at #/properties/a',
			"response_format",
		],
		[as({ type: "array", uniqueItems: true }), '"uniqueItems" at #', "response_format"],
		[{ guided_regex: "(?=a)" }, "look-around", "guided_regex"],
		[{ guided_grammar: "root ::= b" }, "rule b is not defined", "guided_grammar"],
	])("with status 400, saying what and where: %#", async (more, reason, param) => {
		const refused = client.chat.completions.create({ ...body, ...more });
		await expect(refused).rejects.toMatchObject({
			status: 400,
			message: expect.stringContaining(reason),
			param,
		});
	});
});
