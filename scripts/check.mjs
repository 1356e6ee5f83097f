// SPDX-License-Identifier: Apache-2.0
// Everything that keeps the house in order and needs no model: format and lint, types, package boundaries, API reports,
// generated reference pages.   node scripts/check.mjs
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const steps = [
	["format and lint", "npx", ["biome", "check", "."]],
	["types", "npx", ["tsc", "-b"]],
	["boundaries", "npx", ["turbo", "boundaries"]],
	["API reports", "node", ["scripts/api-reports.mjs", "--check"]],
	["reference pages", "node", ["scripts/reference.mjs", "--check"]],
];

let failed = 0;
for (const [name, command, args] of steps) {
	const result = spawnSync(command, args, { cwd: root, encoding: "utf8" });
	const ok = result.status === 0;
	console.log(`${ok ? "ok  " : "FAIL"} ${name}`);
	if (!ok) {
		failed++;
		console.log(`${result.stdout ?? ""}${result.stderr ?? ""}`.trimEnd());
	}
}
process.exit(failed === 0 ? 0 : 1);
