// SPDX-License-Identifier: Apache-2.0
// Changes to the bytes, the text and the structure of a model's files. The same random numbers make the same change.

/** Uniform in [0, 1), the same for a seed everywhere: SplitMix32 (Steele, Lea, Flood 2014, with 32-bit constants). */
export function seededRandom(seed) {
	let state = seed | 0;
	return () => {
		state = (state + 0x9e3779b9) | 0;
		let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
		z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
		return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
	};
}

const INTEGERS = [
	0n,
	1n,
	2n,
	9n,
	255n,
	2n ** 16n,
	2n ** 31n,
	2n ** 32n - 1n,
	2n ** 53n,
	2n ** 63n,
	2n ** 64n - 1n,
];

/** Values that a field of a header may have instead of its own. */
const ODD = [
	...[0, 1, -1, 2, 0.5, 7, 2 ** 16, 2 ** 24 + 1, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, -(2 ** 53)],
	...[
		"",
		" ",
		"x",
		"__proto__",
		"constructor",
		"\0",
		"\ud800",
		"../../x",
		"F8_E4M3",
		"Q4_K",
		"x".repeat(70_000),
	],
	...[
		"(a+)+$",
		"(?:x{1000}){1000}",
		"[",
		"\\p{L}",
		".*",
		"▁",
		"{{",
		"{% for x in range(99999) %}{{ x }}{% endfor %}",
	],
	...[null, true, false, [], {}, [0], [[]], { type: "Sequence" }],
];

/** Words of chat templates. */
const WORDS = [
	...[
		"{{",
		"}}",
		"{%",
		"%}",
		"{#",
		"#}",
		"{%-",
		"-%}",
		"|",
		"~",
		"(",
		")",
		"[",
		"]",
		".",
		",",
		"=",
		"'",
		'"',
		"\\",
	],
	..."messages content role tools bos_token eos_token add_generation_prompt namespace range loop raise_exception".split(
		" ",
	),
	..."for in if else endif endfor set endset macro endmacro call is not and or defined filter endfilter".split(
		" ",
	),
	..."tojson join length upper first last items keys get split map selectattr strftime_now cycle index0 prompt".split(
		" ",
	),
	...[
		"range(100000)",
		"'x' * 1000000",
		"[0] * 1000000",
		"{% set x = x ~ x %}",
		"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
	],
	...[
		"99999999999999999999",
		"-1",
		"1e999",
		"{{ ''.__class__ }}",
		"[::-1]",
		"{{ messages[0].content * 999999 }}",
	],
];

const below = (random, limit) => Math.floor(random() * limit);
const pick = (random, list) => list[below(random, list.length)];

/** Bits, bytes, telling integers, cuts, copies. */
export function mutateBytes(original, random) {
	let bytes = Buffer.from(original);
	for (let changes = 1 + below(random, 3); changes > 0 && bytes.length > 8; changes--) {
		const at = below(random, Math.min(bytes.length - 8, random() < 0.7 ? 2048 : Number.POSITIVE_INFINITY));
		const integer = pick(random, INTEGERS);
		const change = below(random, 6);
		if (change === 0) bytes[at] ^= 1 << below(random, 8);
		else if (change === 1) bytes[at] = below(random, 256);
		else if (change === 2) bytes.writeBigUInt64LE(integer, at);
		else if (change === 3) bytes.writeUInt32LE(Number(BigInt.asUintN(32, integer)), at);
		else if (change === 4) bytes = bytes.subarray(0, below(random, bytes.length));
		else bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(below(random, at + 1))]);
	}
	return bytes;
}

/** Words put in, ranges taken out and doubled. */
export function mutateText(original, random) {
	let text = original.toString("utf8");
	for (let changes = 1 + below(random, 6); changes > 0; changes--) {
		const [from, to] = [below(random, text.length + 1), below(random, text.length + 1)].sort((a, b) => a - b);
		const change = below(random, 8);
		if (change < 4) text = `${text.slice(0, from)} ${pick(random, WORDS)} ${text.slice(from)}`;
		else if (change === 4) text = text.slice(0, from) + text.slice(Math.min(to, from + 40));
		else if (change === 5) text = text.slice(0, to) + text.slice(from);
		else if (change === 6)
			text = text.slice(0, from) + pick(random, WORDS).repeat(1 + below(random, 3000)) + text.slice(to);
		else text = text.slice(0, from) + String.fromCharCode(below(random, 65_536)) + text.slice(from);
		if (text.length > 200_000) text = text.slice(0, 200_000);
	}
	return Buffer.from(text);
}

/** A value with fields replaced, taken away, doubled, exchanged and nested, as JSON; containers by reference, changed in place. */
export function mutateValue(root, random) {
	for (let changes = 1 + below(random, 3); changes > 0; changes--) {
		const places = [];
		const visit = (value, depth) => {
			if (typeof value !== "object" || value === null || depth > 40) return;
			for (const key of Object.keys(value)) {
				places.push([value, key]);
				// Vocabularies have many entries that are all alike.
				if (places.length < 3000) visit(value[key], depth + 1);
			}
		};
		visit(root, 0);
		if (places.length === 0) return root;
		const [holder, key] = pick(random, places);
		const [otherHolder, otherKey] = pick(random, places);
		const change = below(random, 8);
		if (change < 3) holder[key] = structuredClone(pick(random, ODD));
		else if (change === 3) Array.isArray(holder) ? holder.splice(Number(key), 1) : delete holder[key];
		else if (change === 4) holder[key] = copyOf(otherHolder[otherKey]);
		else if (change === 5 && !Array.isArray(holder))
			holder[
				pick(
					random,
					ODD.filter((odd) => typeof odd === "string"),
				)
			] = holder[key];
		else if (change === 6)
			holder[key] = nested(copyOf(holder[key]), 1 + below(random, random() < 0.2 ? 20_000 : 8));
		else if (typeof holder[key] === "number") holder[key] += pick(random, [-1, 1, 1e6, 0.5, -1e9]);
		else if (Array.isArray(holder))
			holder.push(...Array.from({ length: 1 + below(random, 50) }, () => copyOf(holder[key])));
	}
	return root;
}

/** A copy, so that a value put into itself makes no circle; what nests too deeply to be copied is left. */
function copyOf(value) {
	try {
		return structuredClone(value);
	} catch {
		return null;
	}
}

function nested(value, levels) {
	let result = value;
	for (let i = 0; i < levels; i++) result = [result];
	return result;
}

/** JSON as a file has it; null when this value cannot be written (too deep for JSON.stringify, too long for a string). */
export function toJson(value) {
	try {
		return Buffer.from(JSON.stringify(value) ?? "");
	} catch {
		return null;
	}
}
