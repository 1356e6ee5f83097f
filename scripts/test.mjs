// SPDX-License-Identifier: Apache-2.0
// npm test [-- vitest arguments]: installs, builds and runs the tests.
import { spawnSync } from "node:child_process";
import { build, checkMachine, install, root } from "./lib/prepare.mjs";

checkMachine();
install();
build({ types: true });
const args = process.argv.slice(2);
const projects = ["unit", "integration", "docs"].flatMap((project) => ["--project", project]);
const { status } = spawnSync(
	"npx",
	["vitest", "run", ...(args.some((arg) => arg.startsWith("--project")) ? [] : projects), ...args],
	{
		cwd: root,
		stdio: "inherit",
	},
);
process.exit(status ?? 1);
