#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Compiles the native engine with the system's C++ compiler, nothing else: one call per source, one to link.
// Sources and flags: native/sources.json. Headers come from npm. A second run with unchanged sources does nothing; a
// changed source is compiled alone, a changed header compiles all. Several runs at once do not disturb each other.
//   node scripts/build-native.mjs [--force] [--sanitize]        environment: CXX (default g++, then clang++)
// --sanitize makes another binary, build/Sanitized/dyn_native.node, that checks addresses and undefined behaviour.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	existsSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	renameSync,
	rmSync,
	statSync,
	writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

if (process.argv.includes("--help")) {
	console.log(
		"Builds the native engine of @dyn/trtllm-native from source.\n\n  dyn-trtllm-native-build [--force]\n\nNeeds g++ or clang++; set CXX to choose one.",
	);
	process.exit(0);
}

const packageFolder = fileURLToPath(new URL("..", import.meta.url));
// The repository's sources, or those that travel inside the published package.
const native = [join(packageFolder, "../../native"), join(packageFolder, "native")].find((folder) =>
	existsSync(join(folder, "sources.json")),
);
if (!native)
	fail(`The sources of the native engine are missing from ${packageFolder}: install the package again.`);
const sanitize = process.argv.includes("--sanitize");
const output = join(packageFolder, "build", sanitize ? "Sanitized" : "Release");
const objects = join(packageFolder, "build", sanitize ? "objects-sanitized" : "objects");
const binary = join(output, "dyn_native.node");

const require = createRequire(import.meta.url);
const headers = [
	dirname(require.resolve("node-addon-api/package.json")),
	join(dirname(require.resolve("node-api-headers/package.json")), "include"),
];
const optimise = sanitize
	? ["-O1", "-g1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
	: ["-O3"];
const common = [
	"-std=c++17",
	...optimise,
	"-fPIC",
	"-fvisibility=hidden",
	"-ffp-contract=off",
	"-Wall",
	"-Wextra",
	"-Wno-maybe-uninitialized",
	"-Wno-uninitialized",
	"-Wno-unused-function",
];
const include = headers.flatMap((folder) => ["-isystem", folder]);
const sources = JSON.parse(readFileSync(join(native, "sources.json"), "utf8")).filter(
	({ arch }) => arch === undefined || arch === process.arch,
);

const headerHash = createHash("sha256").update(
	JSON.stringify([common, process.env.CXX ?? "", process.platform, process.arch]),
);
for (const file of sourceTree(join(native, "src")).filter((name) => name.endsWith(".h")))
	headerHash.update(file.slice(native.length)).update(readFileSync(file));
const headersDigest = headerHash.digest("hex");
const jobs = sources.map(({ file, flags = [] }) => {
	const digest = createHash("sha256")
		.update(JSON.stringify([headersDigest, file, flags]))
		.update(readFileSync(join(native, file)))
		.digest("hex");
	const name = file.replaceAll("/", "-");
	return {
		name,
		digest,
		object: join(objects, `${name}-${digest.slice(0, 16)}.o`),
		source: join(native, file),
		flags,
	};
});
const digest = createHash("sha256")
	.update(JSON.stringify(jobs.map((job) => job.digest)))
	.digest("hex");
const stampFile = join(output, "dyn_native.sha256");
const force = process.argv.includes("--force");
if (!force && existsSync(binary) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === digest)
	process.exit(0);

const works = (name) => spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0;
if (process.env.CXX && !works(process.env.CXX))
	fail(
		`The compiler that CXX names does not run: ${process.env.CXX}. Set CXX to a C++ compiler, or unset it.`,
	);
const compiler = process.env.CXX || ["g++", "clang++"].find(works);
if (!compiler) {
	fail(
		"No C++ compiler found: install one (Debian and Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install) or set CXX.",
	);
}

mkdirSync(output, { recursive: true });
mkdirSync(objects, { recursive: true });
const began = Date.now();
const queue = jobs.filter(({ object }) => force || !existsSync(object));
await Promise.all(
	Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
		for (let job = queue.shift(); job; job = queue.shift()) {
			// Written beside and renamed into place, here and below: nobody ever sees half a file, and a process that has
			// the old binary loaded keeps it.
			const fresh = `${job.object}.${process.pid}`;
			await run([...common, ...include, ...job.flags, "-c", job.source, "-o", fresh]);
			renameSync(fresh, job.object);
		}
	}),
);
const fresh = `${binary}.${process.pid}`;
const system =
	process.platform === "darwin"
		? ["-undefined", "dynamic_lookup"]
		: sanitize // shares the C++ runtime with the process, whose exceptions the sanitizer watches
			? []
			: ["-static-libstdc++", "-static-libgcc", "-Wl,--no-undefined-version"];
await run(["-shared", ...optimise, ...jobs.map(({ object }) => object), "-o", fresh, "-pthread", ...system]);
renameSync(fresh, binary);
writeFileSync(stampFile, digest);
// Others may be building from other sources at this moment: what is young may be theirs.
const current = new Set(jobs.map(({ object }) => object));
for (const path of readdirSync(objects).map((name) => join(objects, name))) {
	const { mtimeMs = began } = statSync(path, { throwIfNoEntry: false }) ?? {};
	if (!current.has(path) && mtimeMs < began - 3_600_000) rmSync(path, { force: true });
}
console.log(`native engine built with ${compiler} in ${((Date.now() - began) / 1000).toFixed(1)} s`);

function run(args) {
	return new Promise((resolve) => {
		spawn(compiler, args, { stdio: "inherit" })
			.on("error", (error) => fail(`${compiler} could not be started: ${error.message}`))
			.on("exit", (code, signal) => {
				if (code === 0) resolve();
				else fail(`${compiler} ended with ${signal ?? code}: the native engine was not built.`);
			});
	});
}

function fail(message) {
	console.error(message);
	process.exit(1);
}

function sourceTree(folder) {
	return readdirSync(folder, { withFileTypes: true })
		.sort((a, b) => (a.name < b.name ? -1 : 1))
		.flatMap((entry) =>
			entry.isDirectory() ? sourceTree(join(folder, entry.name)) : [join(folder, entry.name)],
		);
}
