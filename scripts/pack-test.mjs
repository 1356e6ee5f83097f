// SPDX-License-Identifier: Apache-2.0
// Packs every public package and installs each, with npm, into an empty project of its own, as a user would:
// every entry must load by import and by require, and every bin must answer --help, with nothing but Node in the PATH: what
// runs the embedded engine then is the platform package. Built from source is it only where that is what is tested.
//   node scripts/pack-test.mjs [name ...]
import { execFileSync, spawnSync } from "node:child_process";
import {
	copyFileSync,
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	symlinkSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const only = process.argv.slice(2);
const work = mkdtempSync(join(tmpdir(), "dyn-pack-"));
const run = (command, args, cwd, env = process.env) =>
	execFileSync(command, args, { cwd, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

// No compiler, no Python, no shell: a PATH with node and no other program.
const bare = { ...process.env, PATH: join(work, "bin") };
delete bare.CXX;
mkdirSync(bare.PATH);
symlinkSync(process.execPath, join(bare.PATH, "node"));
const runBare = (command, args, cwd) => run(command === "node" ? process.execPath : command, args, cwd, bare);

const packages = new Map();
for (const floor of ["packages", "apps"]) {
	for (const name of readdirSync(join(root, floor))) {
		const folder = join(root, floor, name);
		if (!existsSync(join(folder, "package.json"))) continue;
		const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
		const fits = (wanted, own) => wanted === undefined || wanted.includes(own);
		if (manifest.private || !fits(manifest.os, process.platform) || !fits(manifest.cpu, process.arch))
			continue;
		packages.set(manifest.name, { folder, manifest });
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
	const { dependencies, optionalDependencies } = packages.get(name).manifest;
	for (const dependency of Object.keys({ ...dependencies, ...optionalDependencies })) {
		if (packages.has(dependency)) closure(dependency, found);
	}
	return found;
}

/** A worker over a checkpoint made on the spot: the packed native engine must load and answer. */
function runSmallWorker(project) {
	for (const file of ["small-worker.mjs", "small-checkpoint.mjs"])
		copyFileSync(join(root, "scripts/lib", file), join(project, file));
	runBare("node", ["small-worker.mjs"], project);
}

const platformPackage = `@dyn/trtllm-native-${process.platform}-${process.arch}`;

/** The doctor of the packed command says that the embedded engine comes from the platform package. */
function expectPrebuilt(project) {
	const { findings } = JSON.parse(
		spawnSync(join(project, "node_modules/.bin/dyn-worker"), ["doctor", "--json"], {
			env: bare,
			encoding: "utf8",
		}).stdout,
	);
	const engine = findings.find(({ what }) => what.startsWith("native engine"));
	if (engine?.level !== "ok" || !engine.what.endsWith(`from ${platformPackage}`))
		throw new Error(`not the prebuilt engine: ${JSON.stringify(engine)}`);
}

/** Without the platform package the engine is missed with a command that helps, and loads after that. */
function compileAndLoad(project) {
	const find = `import { findNativeBinding } from "@dyn/trtllm-native"; console.log(findNativeBinding().from)`;
	const from = () => runBare("node", ["--input-type=module", "-e", find], project).trim();
	if (from() !== platformPackage) throw new Error(`loaded from ${from()}, not from ${platformPackage}`);
	rmSync(join(project, "node_modules", platformPackage), { recursive: true });
	let missed = "";
	try {
		from();
	} catch (error) {
		missed = error.stderr;
	}
	if (!missed.includes("NATIVE_UNAVAILABLE") || !missed.includes("npx dyn-trtllm-native-build"))
		throw new Error(`expected to be told how to build the engine, got: ${missed}`);
	run("npx", ["dyn-trtllm-native-build"], project);
	if (!from().endsWith("build/Release/dyn_native.node"))
		throw new Error(`loaded from ${from()} after it was built`);
}

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
			runBare(
				"node",
				[
					"--input-type=module",
					"-e",
					`const m = await import(${JSON.stringify(specifier)}); if (Object.keys(m).length === 0 && ${JSON.stringify(name)} !== "@dyn/engine") throw new Error("no exports"); process.exit(0)`,
				],
				project,
			);
			runBare(
				"node",
				["--input-type=commonjs", "-e", `require(${JSON.stringify(specifier)}); process.exit(0)`],
				project,
			);
		}
		if (manifest.main) runBare("node", ["-e", `require(${JSON.stringify(name)})`], project);
		for (const bin of Object.keys(manifest.bin ?? {}))
			runBare(join(project, "node_modules/.bin", bin), ["--help"], project);
		if (name === "@dyn/trtllm") runSmallWorker(project);
		if (name === "@dyn/trtllm-native") compileAndLoad(project);
		if (name === "dyn-worker") expectPrebuilt(project);
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
