// SPDX-License-Identifier: Apache-2.0
import { expect, it } from "vitest";
import { objections } from "./__fixtures__/judge.js";
import { SCHEMAS } from "./__fixtures__/schemas.js";
import { compile, seeded, writeText } from "./__fixtures__/write-text.js";

it("has schemas enough", () => {
	expect(new Set(SCHEMAS.map((schema) => JSON.stringify(schema))).size).toBeGreaterThan(200);
});

it.each(SCHEMAS.map((schema) => [JSON.stringify(schema), schema] as const))(
	"writes what satisfies %s",
	(json, schema) => {
		const grammar = compile({ kind: "json_schema", schema: json });
		for (let seed = 1; seed <= 5; seed++) {
			const text = writeText(grammar, seeded(seed));
			const objection = objections(schema, text);
			if (objection !== null) expect.fail(`${objection}: ${text}`);
		}
	},
);
