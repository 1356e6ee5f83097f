// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import { afterEach, beforeEach, expect, it } from "vitest";
import { fixturePath } from "../src/__fixtures__/fixture-path.js";
import { randomNumbers } from "../src/__fixtures__/random.js";
import { ChatTemplate, loadTokenizer } from "../src/index.js";
import { guardDocument } from "../src/tokenizer/guarded-document.js";
import { parseTokenizerDocument } from "../src/tokenizer/tokenizer-document.js";

const random = randomNumbers(1);
let folder: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), "dyn-text-"));
});
afterEach(() => rm(folder, { recursive: true }));

const pick = <T>(values: readonly T[]): T => values[random(values.length)]!;

/** Components beyond those of the fixtures, each in a place where it may or may not belong. */
const COMPONENTS: readonly unknown[] = [
	{ type: "NFKC" },
	{ type: "Lowercase" },
	{ type: "StripAccents" },
	{ type: "Strip", strip_left: true, strip_right: true },
	{ type: "Replace", pattern: { Regex: "\\s{2,}|" }, content: "" },
	{ type: "Replace", pattern: { String: "" }, content: "▁" },
	{ type: "Split", pattern: { Regex: "\\p{L}+|" }, behavior: "MergedWithPrevious", invert: true },
	{ type: "Split", pattern: { String: "l" }, behavior: "Contiguous", invert: false },
	{ type: "Metaspace", replacement: "▁", prepend_scheme: "first", split: true },
	{ type: "Digits", individual_digits: true },
	{ type: "Punctuation", behavior: "MergedWithNext" },
	{ type: "Whitespace" },
	{ type: "WhitespaceSplit" },
	{ type: "Precompiled", precompiled_charsmap: "AAAA" },
	{ type: "FixedLength", length: 0 },
	{
		type: "Unigram",
		vocab: [
			["<unk>", 0],
			["a", -1],
			["l", -2],
			["▁", -1],
		],
		unk_id: 0,
		byte_fallback: false,
	},
	{ type: "WordLevel", vocab: { "<unk>": 0, hello: 1 }, unk_token: "<unk>" },
];
const VALUES: readonly unknown[] = [
	null,
	true,
	0,
	1,
	-1,
	2 ** 32,
	1e300,
	"",
	"a",
	"▁",
	"##",
	"(",
	"\ud800",
	[],
	{},
	[["a", "b"]],
];

/** Replaces, removes or adds something at a random place. */
function mutate(value: unknown, depth = 0): unknown {
	if (typeof value !== "object" || value === null || depth > 5 || random(6) === 0)
		return random(3) === 0 ? structuredClone(pick(COMPONENTS)) : pick(VALUES);
	const entries = Object.entries(value);
	const at = random(Math.max(1, entries.length));
	if (random(8) === 0) entries.splice(at, 1);
	else if (entries[at]) entries[at] = [entries[at][0], mutate(entries[at][1], depth + 1)];
	return Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries);
}

it("lets no mutated document end the process: what passes the check, the native tokenizer survives", async () => {
	const originals = (["byte-level", "sentencepiece"] as const).map((name) =>
		JSON.parse(readFileSync(join(fixturePath(name), "tokenizer.json"), "utf8")),
	);
	const passed: string[] = [];
	let refused = 0;
	for (let round = 0; round < 6_000; round++) {
		let document: unknown = pick(originals);
		for (let count = 1 + random(4); count > 0; count--) document = mutate(document);
		try {
			passed.push(guardDocument(parseTokenizerDocument(document, "t.json")).json);
		} catch (error) {
			expect(DynError.is(error, "MODEL_FORMAT"), String(error)).toBe(true);
			refused++;
		}
	}
	expect(refused).toBeGreaterThan(1_000);
	expect(passed.length).toBeGreaterThan(500);

	const file = join(folder, "documents.json");
	await writeFile(file, JSON.stringify(passed));
	const program = `
		const { Tokenizer } = require(process.argv[2]);
		const texts = ["", "hello  w\\n<|end|> </s> 12 ▁▁ é漢👍\\u0000", "\\ud800", " ".repeat(500), "l".repeat(500)];
		const { readFileSync, writeSync } = require("fs");
		(async () => {
			for (const json of JSON.parse(readFileSync(process.argv[1], "utf8"))) {
				try {
					const tokenizer = Tokenizer.fromString(json);
					for (const text of texts) (await tokenizer.encode(text, null, { addSpecialTokens: false })).getIds();
				} catch {}
				writeSync(1, ".");
			}
		})();`;
	const native = createRequire(import.meta.url).resolve("tokenizers");
	const child = spawnSync(process.execPath, ["-e", program, file, native], { encoding: "utf8" });
	const survived = child.stdout.length;
	expect(survived, `${child.stderr.slice(0, 300)} on ${passed[survived]?.slice(0, 3_000)}`).toBe(
		passed.length,
	);
});

it("answers random bytes as tokenizer.json with a typed error", async () => {
	for (let round = 0; round < 200; round++) {
		const bytes = Uint8Array.from({ length: random(200) }, () => random(256));
		await writeFile(join(folder, "tokenizer.json"), bytes);
		await expect(loadTokenizer(folder)).rejects.toMatchObject({ code: "MODEL_FORMAT" });
	}
});

it("answers random templates with text or a typed error", async () => {
	const parts = [
		"{{",
		"}}",
		"{%",
		"%}",
		" for ",
		" in ",
		" if ",
		" set ",
		"messages",
		".content",
		"[0]",
		"|",
		"tojson",
		"(",
		")",
		"'",
		"=",
		"x",
		"+",
		"{% endfor %}",
		"{% endif %}",
		" else ",
		"~",
		"\n",
		"{#",
		"#}",
		"range(9)",
		"[",
		"]",
		":",
		"1",
	];
	let rendered = 0;
	for (let round = 0; round < 5_000; round++) {
		const source = Array.from({ length: 1 + random(12) }, () => pick(parts)).join("");
		try {
			const template = await ChatTemplate.create(source, { source: "fuzz" });
			expect(typeof template.render({ messages: [{ role: "user", content: "hi" }] })).toBe("string");
			rendered++;
		} catch (error) {
			expect(
				DynError.is(error, "MODEL_FORMAT") || DynError.is(error, "INVALID_ARGUMENT"),
				String(error),
			).toBe(true);
		}
	}
	expect(rendered).toBeGreaterThan(50);
});
