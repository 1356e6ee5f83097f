// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { Utf8Stream } from "./utf8-stream.js";

const whole = new TextDecoder("utf-8", { ignoreBOM: true });

/** One byte of every kind that the rules tell apart. */
const KINDS = [
	0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xe1, 0xed, 0xf0, 0xf1, 0xf4, 0xf5,
];

describe("Utf8Stream", () => {
	it("makes of single bytes what a decoder makes of all, for every sequence of four kinds of bytes", () => {
		const failures: string[] = [];
		for (let code = 0; code < KINDS.length ** 4; code++) {
			const bytes = [0, 1, 2, 3].map(
				(place) => KINDS[Math.floor(code / KINDS.length ** place) % KINDS.length]!,
			);
			const stream = new Utf8Stream();
			const text = bytes.map((byte) => stream.push(Uint8Array.of(byte))).join("") + stream.finish();
			if (text !== whole.decode(Uint8Array.from(bytes))) failures.push(bytes.join(" "));
		}
		expect(failures).toEqual([]);
	});

	it("gives the same for every way of cutting a text in two", () => {
		const bytes = Buffer.from("\ufeffa é 漢 👨‍👩‍👧 \u{10ffff}");
		for (let cut = 0; cut <= bytes.length; cut++) {
			const stream = new Utf8Stream();
			const text = stream.push(bytes.subarray(0, cut)) + stream.push(bytes.subarray(cut)) + stream.finish();
			expect(text).toBe(bytes.toString());
		}
	});

	it("holds back only what a later byte could complete", () => {
		const stream = new Utf8Stream();
		expect(stream.push(Uint8Array.of(0x61, 0xf0, 0x9f))).toBe("a");
		expect(stream.pending).toBe(true);
		expect(stream.push(Uint8Array.of(0x41))).toBe("\ufffdA");
		expect(stream.pending).toBe(false);
		for (const [lead, second] of [
			[0xe0, 0x80],
			[0xed, 0xa0],
			[0xf0, 0x80],
			[0xf4, 0x90],
		] as const)
			expect(stream.push(Uint8Array.of(lead, second))).toBe("\ufffd\ufffd");
		expect(stream.push(Uint8Array.of(0xe2))).toBe("");
		expect(stream.finish()).toBe("\ufffd");
		expect(stream.finish()).toBe("");
	});
});
