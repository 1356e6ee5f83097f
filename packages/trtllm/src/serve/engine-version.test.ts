// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { compareEngineVersions, parseEngineVersion } from "./engine-version.js";

it("orders candidates, releases and nightlies", () => {
	const ordered = [
		"1.2.1",
		"1.3.0rc5.post1",
		"1.3.0rc20",
		"1.3.0rc21",
		"1.3.0rc27",
		"1.3.0",
		"1.3.1",
		"1.4.0rc1",
	];
	for (let i = 1; i < ordered.length; i++) {
		expect(
			compareEngineVersions(ordered[i - 1]!, ordered[i]!),
			`${ordered[i - 1]} < ${ordered[i]}`,
		).toBeLessThan(0);
		expect(compareEngineVersions(ordered[i]!, ordered[i - 1]!)).toBeGreaterThan(0);
	}
	expect(compareEngineVersions("1.3.0rc20", "1.3.0rc20.post1")).toBe(0);
	expect(compareEngineVersions("1.3.0rc20", "main")).toBeNaN();
});

it.each([
	["1.3.0rc26.dev2026091500", { numbers: [1, 3, 0], candidate: 26, nightly: true }],
	["1.2.1+cu130", { numbers: [1, 2, 1], candidate: Infinity, nightly: false }],
	["1.4", { numbers: [1, 4, 0], candidate: Infinity, nightly: false }],
	["abc", null],
	["1.3.0rc", null],
])("reads %s", (text, version) => expect(parseEngineVersion(text)).toEqual(version));
