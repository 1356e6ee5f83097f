// SPDX-License-Identifier: Apache-2.0
// Writes docs/reference/errors.md, cli.md and schemas/ from the registries in the built packages.
//   node scripts/reference.mjs          writes
//   node scripts/reference.mjs --check  fails if one differs
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { ERROR_CODES } = await import("../packages/common/dist/index.js");
const { WIRE_SCHEMAS } = await import("../packages/protocols/dist/schemas/index.js");
const { cliReference } = await import("../apps/worker/dist/index.js");

const errors = `# Errors

Every error is a \`DynError\` with one of these codes. Over HTTP the body is
\`{"error": {"message", "type", "param", "code"}}\` with the status below. *Retryable* means that the same request may
succeed later or on another worker. Generated from \`packages/common/src/error-codes.ts\`.

| code | HTTP | retryable | what happened | what to do |
| --- | --- | --- | --- | --- |
${Object.entries(ERROR_CODES)
	.map(
		([code, info]) =>
			`| \`${code}\` | ${info.httpStatus} | ${info.retryable ? "yes" : "no"} | ${info.summary} | ${info.remedy} |`,
	)
	.join("\n")}
`;

let wrong = 0;
for (const [file, text] of [
	["docs/reference/errors.md", errors],
	["docs/reference/cli.md", cliReference()],
	...WIRE_SCHEMAS.map(({ name, schema }) => [
		`docs/reference/schemas/${name}.schema.json`,
		`${JSON.stringify(schema, null, "\t")}\n`,
	]),
]) {
	const path = join(root, file);
	if (!process.argv.includes("--check")) writeFileSync(path, text);
	else if (!existsSync(path) || readFileSync(path, "utf8") !== text) {
		console.error(`${file} is not what the registries say: run node scripts/reference.mjs`);
		wrong++;
	}
}
process.exit(wrong === 0 ? 0 : 1);
