// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { randomNumbers } from "../__fixtures__/random.js";
import { StopStringMatcher } from "./stop-string-matcher.js";

/** The definition, slowly: the match that ends first, of those the longest. */
function firstMatch(text: string, stops: readonly string[]): { start: number; stop: string } | undefined {
	for (let end = 1; end <= text.length; end++) {
		const found = stops
			.filter((stop) => text.slice(0, end).endsWith(stop))
			.sort((a, b) => b.length - a.length)[0];
		if (found !== undefined) return { start: end - found.length, stop: found };
	}
	return undefined;
}

/** The longest ending of `text` that some stop string begins with. */
function heldBack(text: string, stops: readonly string[]): string {
	for (let at = 0; at < text.length; at++)
		if (stops.some((stop) => stop.startsWith(text.slice(at)))) return text.slice(at);
	return "";
}

describe("StopStringMatcher", () => {
	it("agrees with the definition after every character, for random stops over two letters", () => {
		const random = randomNumbers(11);
		const word = (length: number): string => Array.from({ length }, () => "ab"[random(2)]).join("");
		for (let round = 0; round < 2_000; round++) {
			const stops = Array.from({ length: 1 + random(4) }, () => word(1 + random(5)));
			const text = word(14);
			const include = round % 2 === 0;
			const match = firstMatch(text, stops);
			const matcher = new StopStringMatcher(stops, { includeStopString: include });
			let sent = "";
			let stopped: string | undefined;
			for (let end = 1; end <= text.length && stopped === undefined; end++) {
				const result = matcher.push(text[end - 1]!);
				sent += result.text;
				stopped = result.stopped;
				if (stopped === undefined)
					expect(sent + heldBack(text.slice(0, end), stops)).toBe(text.slice(0, end));
			}
			expect(stopped).toBe(match?.stop);
			const expected = match ? text.slice(0, match.start) + (include ? match.stop : "") : text;
			expect(sent + matcher.finish(), `${text} / ${stops.join(" ")}`).toBe(expected);
		}
	});

	it("finds a stop string cut over pieces and drops what follows", () => {
		const matcher = new StopStringMatcher(["\n\nUser:"]);
		expect(matcher.push("Hi.\n")).toEqual({ text: "Hi." });
		expect(matcher.push("\n\nUs")).toEqual({ text: "\n" });
		expect(matcher.push("er: more")).toEqual({ text: "", stopped: "\n\nUser:" });
		expect(matcher.push("more")).toEqual({ text: "", stopped: "\n\nUser:" });
		expect(matcher.finish()).toBe("");
	});

	it("gives back at the end what was held for nothing", () => {
		const matcher = new StopStringMatcher(["stop"]);
		expect(matcher.push("don't sto")).toEqual({ text: "don't " });
		expect(matcher.finish()).toBe("sto");
	});

	it("never cuts a surrogate pair", () => {
		const matcher = new StopStringMatcher(["👎"]);
		// 👍 and 👎 share their first half.
		expect(matcher.push("a\ud83d")).toEqual({ text: "a" });
		expect(matcher.push("\udc4d")).toEqual({ text: "👍" });
		expect(matcher.push("x👎y")).toEqual({ text: "x", stopped: "👎" });
		const other = new StopStringMatcher(["z"]);
		expect(other.push("a\ud83d")).toEqual({ text: "a" });
		expect(other.finish()).toBe("\ud83d");
	});

	it("takes a thousand stop strings of a thousand equal characters", () => {
		const stops = Array.from({ length: 1_000 }, (_, index) =>
			String.fromCharCode(0x4e00 + index).repeat(1_000),
		);
		const matcher = new StopStringMatcher([...stops, "a".repeat(1_000)]);
		const text = `${"a".repeat(999)}b`.repeat(100);
		expect(matcher.push(text)).toEqual({ text });
		expect(matcher.push(stops[500]!)).toEqual({ text: "", stopped: stops[500] });
	});

	it("passes everything without stop strings", () => {
		expect(new StopStringMatcher([]).push("all")).toEqual({ text: "all" });
	});

	it("refuses stop strings that no text can contain", () => {
		expect(() => new StopStringMatcher(["ok", ""])).toThrow(/INVALID_ARGUMENT.*empty/);
		expect(() => new StopStringMatcher(["\udc00"])).toThrow(/INVALID_ARGUMENT.*valid Unicode/);
	});
});
