// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { compile, seeded, takes, writeText } from "./__fixtures__/write-text.js";
import type { Guide } from "./guide.js";

const regex = (pattern: string): Guide => ({ kind: "regex", pattern });
const ebnf = (source: string): Guide => ({ kind: "grammar", ebnf: source });
const schema = (value: unknown): Guide => ({ kind: "json_schema", schema: JSON.stringify(value) });
const tag = (format: unknown): Guide => ({
	kind: "structural_tag",
	tag: JSON.stringify({ type: "structural_tag", format }),
});
const said = (guide: Guide, texts: readonly string[]) => texts.filter((text) => takes(compile(guide), text));

describe("regular expressions", () => {
	const patterns = [
		"a*b+c?",
		"(ab|cd){1,3}",
		"[^a-y]z{2}",
		"x(y(z|)|w)*",
		"\\d+\\.\\d*",
		"[\\w.-]+",
		".{0,3}",
		"(?:a|ab)(?:c|bc)",
		"[\\x41-\\x43\\u00e9]+",
		"a{2}b{0}c{1,}",
		"é|ü+",
		"\\$\\(\\)\\[\\]",
		"[]]|]",
		"\\cA?",
	].filter((pattern) => {
		try {
			return new RegExp(pattern, "u") && pattern !== "\\cA?";
		} catch {
			return false;
		}
	});
	it.each(patterns)("take what JavaScript's do: %s", (pattern) => {
		const grammar = compile(regex(pattern));
		const whole = new RegExp(`^(?:${pattern})$`, "u");
		const random = seeded(7);
		const alphabet = [..."abcdxyzwé.1_-$()[]ABC "];
		for (let i = 0; i < 300; i++) {
			const text = Array.from(
				{ length: Math.floor(random() * 6) },
				() => alphabet[Math.floor(random() * alphabet.length)],
			).join("");
			expect([text, takes(grammar, text)]).toEqual([text, whole.test(text)]);
		}
		for (let seed = 0; seed < 10; seed++) expect(writeText(grammar, seeded(seed))).toMatch(whole);
	});

	it("match a whole answer, or anywhere in a string of a schema", () => {
		expect(said(regex("^ab$"), ["ab", "xab"])).toEqual(["ab"]);
		expect(said(schema({ type: "string", pattern: "ab" }), ['"ab"', '"xaby"', '"ba"'])).toEqual([
			'"ab"',
			'"xaby"',
		]);
		expect(said(schema({ type: "string", pattern: "^a|b$" }), ['"ax"', '"xb"', '"xay"'])).toEqual([
			'"ax"',
			'"xb"',
		]);
	});

	it.each([
		["(?=a)b", "look-around"],
		["(?<!a)b", "look-around"],
		["(a)\\1", "back-references"],
		["a\\b", "word boundaries"],
		["\\p{L}", "Unicode properties"],
		["(a", "not closed"],
		["[a", "not closed"],
		["a)", "too many"],
		["*a", "nothing to repeat"],
		["a**", "nothing to repeat"],
		["a{3,2}", "upside down"],
		["[z-a]", "upside down"],
		["a^b", "at the ends only"],
		["(a$)", "at the ends only"],
		["a{999999}", "too large"],
		["\\", "ends with a backslash"],
		["\\q", "no escape"],
		["(".repeat(200), "nested"],
	])("are refused with a reason: %s", (pattern, reason) => {
		expect(() => compile(regex(pattern))).toThrow(reason);
	});
});

describe("grammars", () => {
	it("take what their rules say", () => {
		const list = ebnf(
			'# numbers\nroot ::= "[" (number ("," number)*)? "]"\nnumber ::=\n\t[0-9]+ | "\\u00e9"{2} # or two\n',
		);
		expect(said(list, ["[]", "[12,3]", "[éé]", "[é]", "[1,]", "[1"])).toEqual(["[]", "[12,3]", "[éé]"]);
		expect(said(ebnf('root ::= [^"\\]-]+ | .'), ["ab", "é", "]", '"', '""'])).toEqual(["ab", "é", "]", '"']);
		expect(said(ebnf('root ::= "(" root ")" | ""'), ["", "(())", "(()"])).toEqual(["", "(())"]);
	});

	it.each([
		["root ::= foo", "rule foo is not defined"],
		['root ::= "a', "does not end"],
		['x ::= "a"', "no rule root"],
		['root ::= root "a" | "b"', "left-recursive"],
		['root ::= x\nx ::= y?  x "b" | "c"\ny ::= "d"', "left-recursive"],
		['root ::= "a"\nroot ::= "b"', "defined twice"],
		['root ::= ("a"', "not closed"],
		['root = "a"', '"::=" is expected'],
		['root ::= "a" (= "b")', "look-ahead"],
		['root ::= TagDispatch("a")', "macros"],
		['root ::= "a" root', "no text at all"],
		[`root ::= ${"(".repeat(500)}`, "nested"],
		['root ::= ([a-z]{0,1000} "x"){0,1000}', "more than 400000 states"],
		["root ::= [a", "not closed"],
		['root ::= "\\u12"', "malformed"],
		["a".repeat(300_000), "at most"],
	])("are refused with a reason: %#", (source, reason) => {
		expect(() => compile(ebnf(source))).toThrow(reason);
	});

	it("that are too ambiguous end in an error, not in a long wait", () => {
		const grammar = compile(
			ebnf(`root ::= x{1500}\nx ::= ${Array.from({ length: 60 }, () => "[a-z]*").join(" ")}`),
		);
		expect(() => grammar.next(grammar.begin())).toThrow("too ambiguous");
	});
});

describe("choices", () => {
	it("are taken literally", () => {
		expect(said({ kind: "choice", choices: ["a.c", "é", "yes"] }, ["a.c", "abc", "é", "ye", "yes"])).toEqual([
			"a.c",
			"é",
			"yes",
		]);
		expect(() => compile({ kind: "choice", choices: [] })).toThrow("1 to");
	});
});

describe("structural tags", () => {
	const call = (name: string) => ({
		type: "tag",
		begin: `<f=${name}>`,
		content: {
			type: "json_schema",
			json_schema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
		},
		end: "</f>",
	});
	const triggered = { type: "triggered_tags", triggers: ["<f="], tags: [call("a"), call("b")] };

	it("leave text free until a trigger", () => {
		const texts = [
			"",
			"no < call <f",
			'hi <f=a>{"n": 1}</f> and <f=b>{"n":2}</f>.',
			"<f=c>",
			"<f=a>{}</f>",
			"<<f=a>{}",
		];
		expect(said(tag(triggered), texts)).toEqual(texts.slice(0, 3));
		expect(said(tag({ ...triggered, at_least_one: true }), texts)).toEqual([]);
		expect(
			said(tag({ ...triggered, at_least_one: true, stop_after_first: true }), [
				'<f=a>{"n":1}</f>',
				'<f=a>{"n":1}</f>x',
			]),
		).toEqual(['<f=a>{"n":1}</f>']);
	});

	it("have the older notation", () => {
		const { begin, end, content } = call("a");
		const older = {
			structures: [{ begin, schema: JSON.stringify(content.json_schema), end }],
			triggers: ["<f="],
		};
		const guide: Guide = { kind: "structural_tag", tag: JSON.stringify(older) };
		expect(said(guide, ['x<f=a>{"n":1}</f>y', "<f=a>x"])).toEqual(['x<f=a>{"n":1}</f>y']);
	});

	it("combine", () => {
		const think = { type: "tag", begin: "<t>", content: { type: "any_text" }, end: "</t>" };
		const answer = {
			type: "or",
			elements: [
				{ type: "regex", pattern: "[0-9]+" },
				{ type: "grammar", grammar: 'root ::= "n/a"' },
				{ type: "const_string", value: "?" },
			],
		};
		const texts = ["<t>a<b</</t>42", "<t></t>n/a", "<t>x</t>?", "<t>x</t>y", "42", "<t>a</t>b</t>1"];
		expect(said(tag({ type: "sequence", elements: [think, answer] }), texts)).toEqual(texts.slice(0, 3));
		const separated = {
			type: "tags_with_separator",
			separator: ",",
			tags: [{ type: "tag", begin: "(", content: answer, end: ")" }],
		};
		expect(said(tag(separated), ["", "(1)", "(1),(?)", "(1)(2)", "(1),"])).toEqual(["", "(1)", "(1),(?)"]);
	});

	it.each([
		[{ type: "poem" }, "not supported"],
		[{ type: "tag", begin: "<" }, "end of the structural tag"],
		[{ ...triggered, triggers: ["<g"] }, "none of its triggers"],
		[{ ...triggered, triggers: ["<f=", "f"] }, "part of another"],
		[{ type: "sequence", elements: [] }, "array"],
		[{ type: "json_schema", json_schema: { not: {} } }, '"not" at #'],
	])("are refused with a reason: %j", (format, reason) => {
		expect(() => compile(tag(format))).toThrow(reason);
	});
});

describe("schemas", () => {
	it.each<readonly [unknown, string]>([
		...[
			"not",
			"if",
			"then",
			"else",
			"uniqueItems",
			"multipleOf",
			"patternProperties",
			"propertyNames",
			"contains",
			"minContains",
			"dependentRequired",
			"dependentSchemas",
			"dependencies",
			"$dynamicRef",
			"$anchor",
			"nullable",
			"discriminator",
			"unevaluatedSomething",
		].map(
			(keyword) =>
				[
					{ properties: { a: { [keyword]: true } } },
					`the keyword "${keyword}" at #/properties/a cannot be honoured`,
				] as const,
		),
		[{ type: "foo" }, "type at # must be one or more"],
		[{ minLength: -1 }, "minLength at # must be a count"],
		[{ exclusiveMinimum: true }, "exclusiveMinimum at # must be a number"],
		[{ properties: [] }, "properties at #"],
		[{ type: "string", format: "iban" }, 'the format "iban" at #'],
		[{ type: "string", pattern: "a", maxLength: 3 }, "maxLength at #"],
		[{ type: "string", pattern: "(?=a)" }, "pattern at #"],
		[{ type: "string", pattern: "^a$", format: "date" }, "pattern and format at #"],
		[{ enum: [1], minimum: 0 }, "minimum at # cannot be honoured beside enum"],
		[{ oneOf: [{ type: "integer" }, { type: "number" }] }, "oneOf at # cannot be honoured"],
		[{ oneOf: [{ type: "object", properties: { a: {} } }, { type: "object" }] }, "oneOf at #"],
		[{ $ref: "#/nowhere" }, "leads nowhere"],
		[{ $ref: "https://example.org/x" }, "leads out of the schema"],
		[{ $ref: "#" }, "refers to itself"],
		[{ allOf: [{ pattern: "a" }, { pattern: "b" }] }, "pattern at #"],
		[{ type: "number", minimum: 1e300 }, "cannot be bounded"],
		[{ type: "object", additionalProperties: { type: "integer" }, minProperties: 2 }, "minProperties at #"],
		[{ $ref: "#/$defs/a", $defs: { a: {} }, unevaluatedProperties: false }, "unevaluatedProperties at #"],
		[false, "no text at all"],
		[{ type: "integer", minimum: 2, maximum: 1 }, "no text at all"],
		[{ type: "object", properties: { n: { $ref: "#" } }, required: ["n"] }, "no text at all"],
		[{ allOf: [{ type: "string" }, { type: "null" }] }, "no text at all"],
		[Array.from({ length: 200 }).reduce((inner) => ({ items: inner }), {}), "nested more than"],
		[
			{
				anyOf: Array.from({ length: 40 }, (_, i) => ({ const: i })),
				allOf: [{ anyOf: Array.from({ length: 40 }, () => ({})) }],
			},
			"more than 512 ways",
		],
		[{ title: "x".repeat(300_000) }, "at most"],
		[
			// Twice as many at each level.
			{
				$ref: "#/$defs/d0",
				$defs: Object.fromEntries(
					Array.from({ length: 40 }, (_, i) => {
						const next = { $ref: `#/$defs/d${i + 1}` };
						return [`d${i}`, i === 39 ? {} : { allOf: [next, next] }];
					}),
				),
			},
			"combines more than",
		],
	])("are refused with the keyword: %#", (value, reason) => {
		expect(() => compile(schema(value))).toThrow(reason);
	});

	it("that are no JSON are refused", () => {
		expect(() => compile({ kind: "json_schema", schema: "{" })).toThrow("no JSON");
	});

	it("bound numbers exactly", () => {
		const between = (low: number, high: number, more = {}) =>
			compile(schema({ type: "number", minimum: low, maximum: high, ...more }));
		for (const [low, high] of [
			[-1.5, 22.25],
			[0.05, 0.5],
			[-7, -0.3],
			[9.99, 10.01],
		] as const) {
			const grammar = between(low, high);
			for (let value = -30; value <= 30; value += 0.01) {
				const text = String(Number(value.toFixed(2)));
				if (text === "-0") continue;
				expect([low, high, text, takes(grammar, text)]).toEqual([
					low,
					high,
					text,
					Number(text) >= low && Number(text) <= high,
				]);
			}
		}
	});

	it("keep additional properties apart from declared ones, in every spelling", () => {
		const open = schema({
			properties: { ab: { type: "boolean" }, 'q"': {} },
			additionalProperties: { type: "string" },
		});
		const taken = ['{"ab":true,"a":"x","abc":"x","":"x"}', '{"b":"x"}', '{"q":"x"}'];
		const refused = ['{"ab":"x"}', '{"ab":true,"ab":"x"}', '{"\\u0061b":"x"}', '{"abc":true}'];
		expect(said(open, [...taken, ...refused])).toEqual(taken);
	});

	it("let JSON of any kind through where they say nothing", () => {
		for (const value of [{ a: [1, -2.5e10, '\u0000é"', null, true] }, [], {}, "x", 0, [[[{ b: {} }]]]]) {
			expect(takes(compile(schema(true)), JSON.stringify(value))).toBe(true);
			expect(takes(compile(schema(true)), JSON.stringify(value, null, 2))).toBe(true);
		}
		expect(said({ kind: "json_object" }, ['{"a": 1}', "[]", "1"])).toEqual(['{"a": 1}']);
	});
});

describe("a compiled grammar", () => {
	it("forgets states without losing texts", () => {
		const grammar = compile({ kind: "json_object" });
		const waiting = grammar.begin();
		for (const byte of Buffer.from('{"a": [[')) grammar.accept(waiting, byte);
		const before = grammar.next(waiting);
		// Deeper and deeper, so that there are more states than are kept.
		for (let seed = 0; seed < 3; seed++) {
			const text = grammar.begin();
			for (const byte of Buffer.from(`{"${seed}":${"[".repeat(700)}`)) {
				grammar.next(text);
				grammar.accept(text, byte);
			}
			grammar.end(text);
		}
		expect(grammar.next(waiting)).toEqual(before);
		for (const byte of Buffer.from("1]]}")) {
			expect(grammar.next(waiting).mayEnd).toBe(false);
			grammar.accept(waiting, byte);
		}
		expect(grammar.next(waiting)).toEqual({ mask: null, mayEnd: true });
		expect(grammar.open).toBe(1);
	});
});
