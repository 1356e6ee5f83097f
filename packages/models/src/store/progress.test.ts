// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { createProgressRenderer } from "./progress.js";

const render = (isTerminal: boolean) => {
	let text = "";
	const renderer = createProgressRenderer(
		{
			write(piece) {
				text += piece;
			},
		},
		isTerminal,
	);
	for (let i = 0; i <= 100; i++)
		renderer.onProgress({ phase: "download", file: "f", receivedBytes: i * 1e6, totalBytes: 1e8 });
	renderer.done();
	return text;
};

it("writes one plain line every tenth where there is no terminal", () => {
	expect(render(false).trim().split("\n")).toEqual(
		Array.from({ length: 11 }, (_, i) => `download f ${i * 10} %`),
	);
});

it("redraws one bar on a terminal and clears it at the end", () => {
	const text = render(true);
	expect(text).not.toContain("\n");
	expect(text).toContain("100 %  100.0 MB of 100.0 MB");
	expect(text.endsWith("\r\u001b[2K")).toBe(true);
});
