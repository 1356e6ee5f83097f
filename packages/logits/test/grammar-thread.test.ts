// SPDX-License-Identifier: Apache-2.0
import { createGrammarThread, type Guide, type GuidedText } from "@dyn/logits/grammar";
import { afterEach, describe, expect, it } from "vitest";
import { VOCABULARY } from "../src/grammar/__fixtures__/write-text.js";

const digits: Guide = { kind: "regex", pattern: "[0-9]{3}" };
/** Within all limits but that of time: each round over all rules learns of one more that it may be empty. */
const bomb: Guide = {
	kind: "grammar",
	ebnf: `root ::= r${(20_000).toString(36)}\nr0 ::= "a"?\n${Array.from({ length: 20_000 }, (_, i) => `r${(i + 1).toString(36)}::=r${i.toString(36)}\n`).join("")}`,
};

const threads: { close(): Promise<void> }[] = [];
afterEach(async () => {
	for (const thread of threads.splice(0)) await thread.close();
});

function thread(options: { limitMs?: number; maxHeapMiB?: number } = {}) {
	const made = createGrammarThread({ vocabulary: VOCABULARY, ...options });
	threads.push(made);
	return made;
}

async function write(text: GuidedText, said: string): Promise<boolean> {
	for (const byte of Buffer.from(said)) {
		text.accept(byte);
		await text.ready();
	}
	const { mask, mayEnd } = text.next()!;
	return mask === null && mayEnd;
}

describe("the grammar thread", () => {
	it("tells what may follow, for several texts at once", async () => {
		const texts = thread();
		const [one, other] = await Promise.all([texts.open(digits), texts.open(digits, [49])]);
		expect(await Promise.all([write(one!, "123"), write(other!, "23")])).toEqual([true, true]);
		one!.close();
		other!.close();
	});

	it("refuses what cannot be honoured, and a token that cannot follow", async () => {
		const texts = thread();
		await expect(texts.open({ kind: "json_schema", schema: '{"not":{}}' })).rejects.toMatchObject({
			name: "GrammarError",
			message: expect.stringContaining('"not" at #'),
		});
		const text = await texts.open(digits);
		text.accept(97);
		await text.ready();
		expect(() => text.next()).toThrow("does not continue");
	});

	it("ends a guide that takes too long, remembers it, and loses no other text", async () => {
		const texts = thread({ limitMs: 1_000 });
		const text = await texts.open(digits);
		expect(await write(text, "1")).toBe(false);
		const slow = texts.open(bomb);
		const waiting = texts.open(digits, [50]);
		text.accept(50);
		await expect(slow).rejects.toMatchObject({
			name: "GrammarError",
			message: expect.stringContaining("takes longer"),
		});
		await text.ready();
		expect(await write(text, "3")).toBe(true);
		expect(await write(await waiting, "34")).toBe(true);
		await expect(texts.open(bomb)).rejects.toMatchObject({ name: "GrammarError" });
	});

	it("answers nobody after its end", async () => {
		const texts = thread();
		const text = await texts.open(digits);
		await texts.close();
		expect(() => text.next()).toThrow("closed");
		await expect(texts.open(digits)).rejects.toThrow("closed");
	});
});
