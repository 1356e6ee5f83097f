// SPDX-License-Identifier: Apache-2.0
// Packs every public package and installs each, with npm, into an empty project of its own, as a user would:
// every entry must load by import and by require, and every bin must answer --help.   node scripts/pack-test.mjs [name ...]
import { execFileSync } from "node:child_process";
import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const only = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "dyn-pack-"));
const run = (command, args, cwd) =>
	execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

const packages = new Map();
for (const floor of ["packages", "apps"]) {
	for (const name of readdirSync(join(root, floor))) {
		const folder = join(root, floor, name);
		if (!existsSync(join(folder, "package.json"))) continue;
		const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
		if (!manifest.private) packages.set(manifest.name, { folder, manifest });
	}
}

for (const entry of packages.values()) {
	entry.tarball = JSON.parse(
		run("npx", ["pnpm", "pack", "--json", "--pack-destination", work], entry.folder).replace(/^[^{[]*/s, ""),
	).filename;
}

/** The package and every workspace package it needs. */
function closure(name, found = new Set()) {
	if (found.has(name)) return found;
	found.add(name);
	for (const dependency of Object.keys(packages.get(name).manifest.dependencies ?? {})) {
		if (packages.has(dependency)) closure(dependency, found);
	}
	return found;
}

// A worker over a checkpoint made on the spot: the packed native engine must load and answer.
const smallWorker = readFileSync(new URL("./lib/small-worker.mjs", import.meta.url), "utf8");

let passed = 0;
let failed = 0;
for (const [name, { manifest }] of packages) {
	if (only.length > 0 && !only.includes(name)) continue;
	const project = join(work, name.replace("/", "-"));
	mkdirSync(project);
	const tarballs = Object.fromEntries(
		[...closure(name)].map((used) => [used, `file:${packages.get(used).tarball}`]),
	);
	writeFileSync(
		join(project, "package.json"),
		JSON.stringify({
			private: true,
			type: "module",
			dependencies: { [name]: tarballs[name] },
			overrides: { ...tarballs, [name]: `$${name}` },
		}),
	);
	try {
		run("npm", ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"], project);
		for (const subpath of Object.keys(manifest.exports ?? {})) {
			const specifier = name + subpath.slice(1);
			if (subpath === "./package.json") continue;
			run(
				"node",
				[
					"--input-type=module",
					"-e",
					`const m = await import(${JSON.stringify(specifier)}); if (Object.keys(m).length === 0 && ${JSON.stringify(name)} !== "@dyn/engine") throw new Error("no exports"); process.exit(0)`,
				],
				project,
			);
			run(
				"node",
				["--input-type=commonjs", "-e", `require(${JSON.stringify(specifier)}); process.exit(0)`],
				project,
			);
		}
		for (const bin of Object.keys(manifest.bin ?? {}))
			run(join(project, "node_modules/.bin", bin), ["--help"], project);
		if (name === "@dyn/trtllm") run("node", ["--input-type=module", "-e", smallWorker], project);
		console.log(`ok   ${name}`);
		passed++;
	} catch (error) {
		console.log(`FAIL ${name}\n${error.stderr || error.stdout || error.message}`);
		failed++;
	}
}
rmSync(work, { recursive: true, force: true });
console.log(`packed packages: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
