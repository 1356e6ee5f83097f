// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from "vitest";
import { createProgressRenderer } from "./progress.js";

const CLEAR_LINE = "\r\u001b[2K";

function setUp(isTerminal: boolean, columns?: number) {
	const written: string[] = [];
	let nowMs = 1000;
	const clock = { monotonicMs: () => nowMs, wallMs: () => 0 };
	const output = { columns, write: (text: string) => written.push(text) };
	const renderer = createProgressRenderer(output, isTerminal, clock);
	const at = (ms: number, receivedBytes: number, totalBytes: number | null = 100e6, phase = "download") => {
		nowMs = 1000 + ms;
		renderer.onProgress({ phase, file: "f", receivedBytes, totalBytes });
		return written.at(-1);
	};
	return { written, renderer, at };
}

describe("where there is no terminal", () => {
	it("writes one plain line every tenth", () => {
		const { written, renderer, at } = setUp(false);
		for (let i = 0; i <= 1000; i++) at(i, i * 1e5);
		renderer.done();
		expect(written).toEqual(Array.from({ length: 11 }, (_, i) => `download f ${i * 10} %\n`));
	});

	it("writes one line when the size is not known", () => {
		const { written, at } = setUp(false);
		for (let i = 0; i < 5; i++) at(i, i * 1e6, null);
		expect(written).toEqual(["download f\n"]);
	});
});

describe("on a terminal", () => {
	it("redraws one bar with rate and time left, and clears it at the end", () => {
		const { written, renderer, at } = setUp(true);
		at(0, 0);
		expect(at(1000, 25e6)).toBe(
			`${CLEAR_LINE}download f  [#######.....................] 25 %  25.0 MB of 100.0 MB  25.0 MB/s  3 s left`,
		);
		expect(at(4000, 100e6)).toBe(
			`${CLEAR_LINE}download f  [############################] 100 %  100.0 MB of 100.0 MB  25.0 MB/s`,
		);
		renderer.done();
		expect(written.at(-1)).toBe(CLEAR_LINE);
		expect(written.join("")).not.toContain("\n");
		renderer.done();
		expect(written).toHaveLength(4);
	});

	it("counts only what came in this run towards the rate", () => {
		const { at } = setUp(true);
		at(0, 50e6);
		expect(at(1000, 60e6)).toContain("10.0 MB/s  4 s left");
	});

	it("does not redraw more often than anyone can see, but always for another phase and at the end", () => {
		const { written, at } = setUp(true);
		for (let i = 0; i < 100; i++) at(i, i * 1e6);
		expect(written).toHaveLength(1);
		expect(at(99, 100e6)).toContain("100 %");
		expect(at(99, 1e6, 2e6, "unpack")).toContain("unpack f");
	});

	it("never writes more than a line holds", () => {
		const { at } = setUp(true, 40);
		expect(at(0, 1e6)).toHaveLength(CLEAR_LINE.length + 39);
	});

	it("shows bytes and rate when the size is not known", () => {
		const { at } = setUp(true);
		at(0, 0, null);
		expect(at(1000, 5e6, null)).toBe(`${CLEAR_LINE}download f  5.0 MB  5.0 MB/s`);
	});

	it("writes nothing when nothing was to be shown", () => {
		const { written, renderer } = setUp(true);
		renderer.done();
		expect(written).toEqual([]);
	});
});
