// SPDX-License-Identifier: Apache-2.0
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { borrowMsgpack, decodeMsgpack, encodeMsgpack } from "./index.js";

const hex = (value: unknown) => Buffer.from(encodeMsgpack(value)).toString("hex");

// Expected bytes from the MessagePack specification's format table.
describe("the smallest form", () => {
	it.each<[unknown, string]>([
		[null, "c0"],
		[undefined, "c0"],
		[false, "c2"],
		[true, "c3"],
		[0, "00"],
		[127, "7f"],
		[128, "cc80"],
		[255, "ccff"],
		[256, "cd0100"],
		[65535, "cdffff"],
		[65536, "ce00010000"],
		[2 ** 32 - 1, "ceffffffff"],
		[2 ** 32, "cf0000000100000000"],
		[Number.MAX_SAFE_INTEGER, "cf001fffffffffffff"],
		[2n ** 64n - 1n, "cfffffffffffffffff"],
		[5n, "05"],
		[-1, "ff"],
		[-32, "e0"],
		[-33, "d0df"],
		[-128, "d080"],
		[-129, "d1ff7f"],
		[-32769, "d2ffff7fff"],
		[-(2 ** 31) - 1, "d3ffffffff7fffffff"],
		[-(2n ** 63n), "d38000000000000000"],
		[0.5, "cb3fe0000000000000"],
		[-0, "cb8000000000000000"],
		["", "a0"],
		["a", "a161"],
		["ü", "a2c3bc"],
		["x".repeat(31), `bf${"78".repeat(31)}`],
		["x".repeat(32), `d920${"78".repeat(32)}`],
		["x".repeat(256), `da0100${"78".repeat(256)}`],
		[Uint8Array.of(1, 2), "c4020102"],
		[[1, [2]], "92019102"],
		[new Uint32Array([1, 300]), "9201cd012c"],
		[{ a: 1, b: undefined, c: null }, "82a16101a163c0"],
	])("of %s is %s", (value, expected) => {
		expect(hex(value)).toBe(expected);
	});

	it("of long arrays, maps and bytes has a longer header", () => {
		expect(hex(new Array(16).fill(0)).slice(0, 6)).toBe("dc0010");
		expect(hex(new Array(65536).fill(0)).slice(0, 10)).toBe("dd00010000");
		const map = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i]));
		expect(hex(map).slice(0, 6)).toBe("de0010");
		expect(hex(new Uint8Array(300)).slice(0, 6)).toBe("c5012c");
		expect(hex(new Uint8Array(70_000)).slice(0, 10)).toBe("c600011170");
	});

	it("is found for values much larger than the buffer, one after another", () => {
		const large = { text: "ü".repeat(100_000), list: new Array(50_000).fill("y") };
		expect(decodeMsgpack(encodeMsgpack(large))).toEqual(large);
		expect(hex(1)).toBe("01");
	});
});

describe("omitting null", () => {
	it("leaves it out of maps, and keeps it in arrays and below them", () => {
		const value = { a: null, b: { c: null, d: 1 }, e: [null, { f: null }], g: null, h: [] };
		const bytes = encodeMsgpack(value, { omitNull: true });
		expect(decodeMsgpack(bytes)).toEqual({ b: { d: 1 }, e: [null, { f: null }], h: [] });
		expect(decodeMsgpack(encodeMsgpack(value))).toEqual(value);
	});

	it("does not outlast an encoding that fails", () => {
		expect(() => encodeMsgpack({ a: null, b: [Symbol("s")] }, { omitNull: true })).toThrow(TypeError);
		expect(hex({ a: null })).toBe("81a161c0");
	});
});

it("lends bytes that the next encoding overwrites", () => {
	const lent = borrowMsgpack("first");
	expect(decodeMsgpack(lent)).toBe("first");
	const own = encodeMsgpack("other");
	expect(decodeMsgpack(lent)).toBe("other");
	borrowMsgpack("third");
	expect(decodeMsgpack(own)).toBe("other");
});

describe("decoding", () => {
	it("tells keys with equal hashes apart", () => {
		// 31 * a + b of the two is the same, so they share a slot.
		for (const key of ["Aa", "BB", "Aa"])
			expect(decodeMsgpack(encodeMsgpack({ [key]: 1 }))).toEqual({ [key]: 1 });
	});

	it("gives back what was encoded", () => {
		const value = fc.letrec((tie) => ({
			value: fc.oneof(
				fc.constant(null),
				fc.boolean(),
				fc.maxSafeInteger(),
				fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
				fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
				fc.double({ noNaN: true }),
				fc.string({ unit: "binary" }),
				fc.array(tie("value"), { maxLength: 20 }),
				fc.dictionary(fc.string(), tie("value"), { maxKeys: 20 }),
			),
		})).value;
		fc.assert(
			fc.property(value, (each) => {
				// Key order of numeric keys and -0 are JavaScript's, not the format's.
				expect(decodeMsgpack(encodeMsgpack(each))).toEqual(each);
			}),
			{ numRuns: 500 },
		);
	});

	it("reads forms that are not the smallest", () => {
		expect(decodeMsgpack(Buffer.from("cf0000000000000001", "hex"))).toBe(1);
		expect(decodeMsgpack(Buffer.from("d30000000000000001", "hex"))).toBe(1);
		expect(decodeMsgpack(Buffer.from("ca3f000000", "hex"))).toBe(0.5);
		expect(decodeMsgpack(Buffer.from("db0000000161", "hex"))).toBe("a");
		expect(decodeMsgpack(Buffer.from("8101c0", "hex"))).toEqual({ 1: null });
	});

	it("keeps __proto__ an ordinary key", () => {
		const value = decodeMsgpack(encodeMsgpack(JSON.parse('{"__proto__":{"a":1}}'))) as object;
		expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
		expect(Object.keys(value)).toEqual(["__proto__"]);
	});

	it.each([
		["nothing", ""],
		["a cut value", "cd01"],
		["a cut string", "a361"],
		["more than one value", "0101"],
		["an array that promises what does not come", "ddffffffff"],
		["a map that promises what does not come", "dfffffffff"],
		["an extension", "d40000"],
		["no code at all", "c1"],
		["deep nesting", "91".repeat(2000)],
	])("refuses %s", (_what, bytes) => {
		expect(() => decodeMsgpack(Buffer.from(bytes, "hex"))).toThrow(RangeError);
	});
});

it("refuses what has no form", () => {
	for (const value of [() => 1, Symbol("s"), 2n ** 64n, -(2n ** 63n) - 1n])
		expect(() => encodeMsgpack([value])).toThrow(TypeError);
});
