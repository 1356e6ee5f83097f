// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { Fields } from "./fields.js";

const refusal = (value: unknown) => {
	const fields = new Fields("config.json", () => value);
	return () => fields.positive("rope_theta");
};

it("shows values of every kind in its complaints", () => {
	expect(refusal(undefined)).toThrow("rope_theta must be a positive number, but is missing");
	expect(refusal(7n)).toThrow('but is "7"');
	expect(refusal("x".repeat(100))).toThrow(`but is "${"x".repeat(79)}...`);
	// What JSON.parse reads and JSON.stringify cannot write.
	const nested: unknown = JSON.parse("[".repeat(20_000) + "]".repeat(20_000));
	expect(refusal(nested)).toThrow("but is a value that nests too deeply");
});
