// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { strftime } from "./strftime.js";

it("formats as Python does", () => {
	const date = new Date(2024, 1, 9, 0, 5, 7);
	expect(strftime(date, "%d %b %Y, %A %-d %B %H:%M:%S %I%p %y-%m 100%%")).toBe(
		"09 Feb 2024, Friday %-d February 00:05:07 12AM 24-02 100%",
	);
});
