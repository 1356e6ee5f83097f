// SPDX-License-Identifier: Apache-2.0
// Schemas of all kinds, each satisfiable: answers under every one of them are judged by an independent validator.
type Schema = boolean | Record<string, unknown>;

const str = { type: "string" };
const int = { type: "integer" };
const num = { type: "number" };
const bool = { type: "boolean" };
const nil = { type: "null" };
const obj = (properties: Record<string, Schema>, required: readonly string[] = Object.keys(properties), more = {}) => ({
	type: "object",
	properties,
	required,
	...more,
});
const arr = (items: Schema, more = {}) => ({ type: "array", items, ...more });
const tagged = (kind: string, properties: Record<string, Schema>) => obj({ kind: { const: kind }, ...properties });

const scalars: Schema[] = [
	true,
	{},
	str,
	int,
	num,
	bool,
	nil,
	...[["string", "null"], ["integer", "string"], ["number", "boolean"], ["array", "null"], ["object", "string"]].map(
		(type) => ({ type }),
	),
	...[0, 1, -1, 3.25, "", "é", "日本語", '"\\/\n\t', true, null, [], {}, [1, [2]], { a: { b: [] } }].map((value) => ({
		const: value,
	})),
	{ enum: ["red", "green", "blue"] },
	{ enum: [1, 2, 3, null, "four"] },
	{ enum: ["a", "ab", "abc", ""] },
	{ type: "string", enum: ["Ω", "😀", "\u0007", "a/b"] },
	{ type: "integer", enum: [1, 2, "three"] },
	{ type: ["string", "null"], enum: ["x", null] },
	{ const: "v1", type: "string", title: "Version", description: "annotations forbid nothing", default: "v1" },
];

const lengths: Schema[] = [
	...[[0, 0], [1, 1], [0, 3], [2, 5], [5, 5], [1, 40], [10, 200]].map(([minLength, maxLength]) => ({
		type: "string",
		minLength,
		maxLength,
	})),
	{ type: "string", minLength: 4 },
	{ type: "string", maxLength: 4 },
	{ minLength: 2 },
];

const patterns: Schema[] = [
	"^[a-z]+$",
	"^[A-Z]{2}[0-9]{4}$",
	"^\\d{3}-\\d{3}-\\d{4}$",
	"^(foo|bar|baz)?$",
	"^#[0-9a-fA-F]{6}$",
	"^[^\"\\\\]{1,4}$",
	"^[\"\\\\/]{2}$",
	"^\\s\\S$",
	"^\\w+@\\w+\\.(com|org)$",
	"^a.c$",
	"^[äöü]{1,3}ß$",
	"^(?:[01]\\d|2[0-3]):[0-5]\\d$",
	"^v\\d+(\\.\\d+){0,2}$",
	"^[\\u4e00-\\u9fff]{2}$",
	"^x*?y+?$",
	"^(?<name>ab)c$",
	"^\\x41\\u0042$",
	"^$",
	"^abc",
	"^[\\]\\[^-]{1,3}$",
	"^[+-]?\\d{1,5}$",
	"^\\$\\d\\.\\d{2}$",
	"^\\{\\}$",
].map((pattern) => ({ type: "string", pattern }));

const patternsWithLengths: Schema[] = [
	{ type: "string", pattern: "^[a-z]{3,5}$", minLength: 2, maxLength: 6 },
	{ type: "string", pattern: "^\\d{4}$", minLength: 4, maxLength: 4 },
];

const formats: Schema[] = ["date", "time", "date-time", "duration", "uuid", "email", "hostname", "ipv4", "ipv6", "uri"].map(
	(format) => ({ type: "string", format }),
);

const bounds: Schema[] = [
	...[
		[0, 0], [0, 9], [1, 10], [-5, 5], [-20, -3], [7, 123], [99, 101], [0, 65535], [-1000000, 1000000], [1, 1],
		[995, 12345], [-129, 128], [123456789, 123456799],
	].map(([minimum, maximum]) => ({ type: "integer", minimum, maximum })),
	...[[0, 1], [0.5, 0.75], [-0.25, 0.25], [1.5, 3.5], [99.95, 100.05], [-10, -9.9], [0.001, 0.002], [2, 2], [-273.15, 1000]].map(
		([minimum, maximum]) => ({ type: "number", minimum, maximum }),
	),
	...[[0, 1], [0.5, 0.6], [-1, 1], [10, 11], [-0.5, 0]].map(([exclusiveMinimum, exclusiveMaximum]) => ({
		type: "number",
		exclusiveMinimum,
		exclusiveMaximum,
	})),
	{ type: "integer", exclusiveMinimum: 0, exclusiveMaximum: 3 },
	{ type: "integer", minimum: 1.5, maximum: 4.5 },
	{ type: "integer", minimum: 0 },
	{ type: "integer", maximum: 0 },
	{ type: "integer", exclusiveMinimum: -1 },
	{ type: "number", minimum: 0 },
	{ type: "number", exclusiveMinimum: 0 },
	{ type: "number", maximum: -1.5 },
	{ type: "number", minimum: 0, exclusiveMinimum: 0, maximum: 5 },
	{ minimum: 3, maximum: 8 },
];

const arrays: Schema[] = [
	{ type: "array" },
	arr(int),
	arr(str, { maxItems: 3 }),
	arr(bool, { minItems: 2 }),
	arr(num, { minItems: 3, maxItems: 3 }),
	arr(nil, { minItems: 0, maxItems: 0 }),
	arr(arr(int, { minItems: 2, maxItems: 2 }), { minItems: 1, maxItems: 3 }),
	arr({ enum: ["a", "b"] }, { minItems: 1, maxItems: 20 }),
	arr(obj({ id: int }), { minItems: 1, maxItems: 4 }),
	arr(true, { maxItems: 2 }),
	arr(false),
	arr(int, { uniqueItems: false, maxItems: 4 }),
	{ type: "array", minItems: 2, maxItems: 2 },
	{ items: { const: 1 } },
	{ type: "array", prefixItems: [int, str] },
	{ type: "array", prefixItems: [int, str], items: false },
	{ type: "array", prefixItems: [int, str], items: bool, minItems: 4, maxItems: 5 },
	{ type: "array", prefixItems: [int, str, bool], minItems: 2 },
	{ type: "array", prefixItems: [int], minItems: 3, maxItems: 3 },
	{ type: "array", prefixItems: [nil, nil], maxItems: 1 },
	{ type: "array", prefixItems: [str], unevaluatedItems: false, minItems: 1 },
];

const objects: Schema[] = [
	{ type: "object" },
	obj({}),
	obj({ name: str }),
	obj({ name: str, age: int }, ["name"]),
	obj({ a: int, b: int, c: int }, []),
	obj({ a: int, b: int, c: int }, ["c"]),
	obj({ a: int, b: int, c: int }, ["b"], { additionalProperties: false }),
	obj({ a: int }, ["a"], { additionalProperties: true, maxProperties: 3 }),
	obj({ a: int, ab: bool }, [], { additionalProperties: str, maxProperties: 4 }),
	obj({ x: nil }, ["x", "y"], { additionalProperties: bool, maxProperties: 2 }),
	obj({ x: nil }, ["x", "z"]),
	obj({ a: int, b: int, c: int, d: int }, [], { minProperties: 2 }),
	obj({ a: int, b: int, c: int, d: int }, ["d"], { minProperties: 1, maxProperties: 2 }),
	obj({ a: int, b: int }, [], { maxProperties: 0 }),
	obj({ a: false, b: int }, ["b"]),
	obj({ "": int, " ": int, 'q"uote': int, "back\\slash": int, "naïve": int, "日本": int, "\n": int }),
	obj({ __proto: int, constructor: int, toString: str }),
	obj({ first: obj({ second: obj({ third: obj({ fourth: bool }) }) }) }),
	{ type: "object", additionalProperties: int, minProperties: 1, maxProperties: 3 },
	{ type: "object", additionalProperties: arr(int, { maxItems: 2 }), maxProperties: 2 },
	{ type: "object", additionalProperties: false },
	{ type: "object", unevaluatedProperties: false, properties: { a: int } },
	{ properties: { a: int } },
	{ required: ["a", "b"] },
	{ type: "object", minProperties: 1, maxProperties: 1 },
	obj(Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`p${i}`, i % 2 ? int : bool])), ["p3", "p29"]),
];

const combinations: Schema[] = [
	{ anyOf: [int, str] },
	{ anyOf: [nil, obj({ a: int })] },
	{ anyOf: [{ type: "string", maxLength: 3 }, { type: "string", pattern: "^zz+$" }] },
	{ anyOf: [{ minimum: 5, type: "integer" }, { maximum: -5, type: "integer" }] },
	{ type: "integer", anyOf: [{ minimum: 100, maximum: 110 }, { maximum: -100, minimum: -110 }] },
	obj({ v: { anyOf: [bool, arr(bool, { maxItems: 2 })] } }),
	{ ...obj({ a: int, b: int }, []), anyOf: [{ required: ["a"] }, { required: ["b"] }] },
	{ oneOf: [int, str, nil] },
	{ oneOf: [tagged("circle", { r: num }), tagged("box", { w: num, h: num }), tagged("none", {})] },
	{ oneOf: [obj({ a: int }), obj({ b: int })] },
	{ oneOf: [obj({ a: int, b: int }, ["a"], { additionalProperties: false }), obj({ c: int })] },
	{ oneOf: [{ enum: [1, 2] }, { enum: [3, "x"] }] },
	arr({ oneOf: [tagged("text", { text: str }), tagged("image", { url: str })] }, { minItems: 1, maxItems: 3 }),
	{ allOf: [obj({ a: int }), obj({ b: str })] },
	{ allOf: [{ minimum: 3 }, { maximum: 6 }, { type: "integer" }] },
	{ allOf: [{ type: ["integer", "string"] }, { type: ["string", "null"] }, { minLength: 2, maxLength: 3 }] },
	{ allOf: [{ enum: ["a", "b", "c"] }, { enum: ["b", "c", "d"] }] },
	{ allOf: [obj({ x: { minimum: 0, type: "integer" } }), obj({ x: { maximum: 9 } })] },
	{ allOf: [{ anyOf: [int, str] }, { anyOf: [str, bool] }] },
	{ allOf: [{ items: { minimum: 0 } }, arr({ type: "integer", maximum: 5 }, { minItems: 1, maxItems: 3 })] },
	{ allOf: [obj({ a: int }, ["a"], { additionalProperties: false }), { properties: { b: int } }] },
];

const references: Schema[] = [
	{ $defs: { id: { type: "integer", minimum: 1, maximum: 9 } }, ...obj({ id: { $ref: "#/$defs/id" } }) },
	{ definitions: { s: { type: "string", maxLength: 2 } }, ...arr({ $ref: "#/definitions/s" }, { minItems: 1, maxItems: 2 }) },
	{ $defs: { node: obj({ v: int, next: { anyOf: [{ $ref: "#/$defs/node" }, nil] } }) }, $ref: "#/$defs/node" },
	{ $defs: { tree: obj({ v: int, kids: arr({ $ref: "#/$defs/tree" }, { maxItems: 2 }) }, ["v"]) }, $ref: "#/$defs/tree" },
	obj({ child: { anyOf: [{ $ref: "#" }, nil] } }),
	{ $defs: { a: { anyOf: [int, arr({ $ref: "#/$defs/b" }, { maxItems: 2 })] }, b: { anyOf: [bool, { $ref: "#/$defs/a" }] } }, $ref: "#/$defs/b" },
	{ $defs: { n: { type: "integer" } }, $ref: "#/$defs/n", minimum: 4, maximum: 6 },
	{ $defs: { "a/b~c %": bool }, $ref: "#/$defs/a~1b~0c%20%25" },
	obj({ a: { type: "string", maxLength: 1 }, b: { $ref: "#/properties/a" } }),
	{ $defs: { base: obj({ id: int }) }, allOf: [{ $ref: "#/$defs/base" }, obj({ name: str })] },
	{ $defs: { x: { $ref: "#/$defs/y" }, y: { $ref: "#/$defs/z" }, z: nil }, $ref: "#/$defs/x" },
];

const documents: Schema[] = [
	obj({
		city: { type: "string", maxLength: 30 },
		celsius: { type: "number", minimum: -90, maximum: 60 },
		conditions: { enum: ["sun", "rain", "snow"] },
		alerts: arr(obj({ level: { type: "integer", minimum: 1, maximum: 5 }, text: str }), { maxItems: 2 }),
	}),
	obj({ steps: arr(obj({ explanation: str, output: str }), { minItems: 1, maxItems: 3 }), final_answer: str }, undefined, {
		additionalProperties: false,
	}),
	obj({ title: str, isbn: { type: "string", pattern: "^\\d{13}$" }, published: { type: "string", format: "date" }, tags: arr(str, { maxItems: 3 }) }, ["title", "isbn"]),
	obj({ name: { const: "get_weather" }, arguments: obj({ location: str, unit: { enum: ["c", "f"] } }, ["location"]) }),
	obj({ user: obj({ id: { type: "string", format: "uuid" }, email: { type: "string", format: "email" }, roles: arr({ enum: ["admin", "user"] }, { minItems: 1, maxItems: 2 }) }), active: bool }),
	{ $schema: "https://json-schema.org/draft/2020-12/schema", $id: "https://example.org/event", title: "Event", ...obj({ at: { type: "string", format: "date-time" }, payload: { type: ["object", "null"], additionalProperties: str, maxProperties: 2 } }), "x-order": 3 },
	obj({ matrix: arr(arr({ type: "number", minimum: -1, maximum: 1 }, { minItems: 2, maxItems: 2 }), { minItems: 2, maxItems: 2 }) }),
	obj({ Überschrift: { type: "string", maxLength: 12 }, größe: int, "価格": { type: "number", minimum: 0, maximum: 1000 } }),
	obj({ labels: { type: "object", additionalProperties: { enum: ["spam", "ham"] }, maxProperties: 3 } }),
	obj({ reasoning: { type: "string", maxLength: 60 }, score: { type: "integer", minimum: 0, maximum: 100 }, verdict: { type: ["string", "null"], enum: ["pass", "fail", null] } }),
];

/** Every combination of a wrapping and a content: nesting is where separators go wrong. */
const nested: Schema[] = [int, { enum: ["q", 0, null] }, { type: "string", minLength: 1, maxLength: 2 }, { anyOf: [bool, nil] }, obj({ k: bool }, [])].flatMap(
	(inner): Schema[] => [
		arr(inner, { minItems: 1, maxItems: 2 }),
		obj({ v: inner }),
		obj({ v: inner, w: inner }, []),
		{ anyOf: [arr(inner, { minItems: 2, maxItems: 2 }), obj({ deep: obj({ v: inner }) })] },
		{ type: "array", prefixItems: [inner, inner], items: inner, minItems: 1, maxItems: 3 },
		{ type: "object", additionalProperties: inner, minProperties: 1, maxProperties: 2 },
		{ $defs: { d: inner }, ...arr(obj({ r: { $ref: "#/$defs/d" } }), { minItems: 1, maxItems: 2 }) },
	],
);

export const SCHEMAS: readonly Schema[] = [
	...scalars,
	...lengths,
	...patterns,
	...patternsWithLengths,
	...formats,
	...bounds,
	...arrays,
	...objects,
	...combinations,
	...references,
	...documents,
	...nested,
];
