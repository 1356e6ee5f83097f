// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { parseJson, stringifyJson } from "./json.js";

it("keeps integers beyond 2^53, and nothing but these, as bigint", () => {
	const text =
		'{"id":11088250433527336985,"small":9007199254740991,"n":-9223372036854775808,"f":0.1234567890123456789,"s":"12345678901234567890"}';
	const value = parseJson(text) as Record<string, unknown>;
	expect(value).toEqual({
		id: 11088250433527336985n,
		small: 9007199254740991,
		n: -9223372036854775808n,
		f: 0.12345678901234568,
		s: "12345678901234567890",
	});
	expect(stringifyJson({ id: value["id"], n: value["n"], u: undefined })).toBe(
		'{"id":11088250433527336985,"n":-9223372036854775808}',
	);
});

it("says the same as JSON.parse and JSON.stringify otherwise", () => {
	const value = { a: [1, 2.5, null, true, "ü\u0000"], b: {}, c: -0.5e-7 };
	expect(stringifyJson(value)).toBe(JSON.stringify(value));
	expect(parseJson(JSON.stringify(value))).toEqual(value);
	for (const text of ["", "{", "[1234567890123456789,]", "nul"])
		expect(() => parseJson(text)).toThrow(SyntaxError);
});
