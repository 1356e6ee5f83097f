#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Compiles the native engine with the system's C++ compiler, nothing else: one call per source, one to link.
// Sources and flags: native/sources.json. Headers come from npm. A second run with unchanged sources does nothing.
//   node scripts/build-native.mjs [--force]        environment: CXX (default g++, then clang++)
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
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
const native = [join(packageFolder, "native"), join(packageFolder, "../../native")].find((folder) =>
	existsSync(join(folder, "sources.json")),
);
const output = join(packageFolder, "build/Release");
const objects = join(packageFolder, "build/objects");
const binary = join(output, "dyn_native.node");

const require = createRequire(import.meta.url);
const headers = [
	dirname(require.resolve("node-addon-api/package.json")),
	join(dirname(require.resolve("node-api-headers/package.json")), "include"),
];
const common = [
	"-std=c++17",
	"-O3",
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

const stamp = createHash("sha256").update(
	JSON.stringify([common, sources, process.env.CXX ?? "", process.platform, process.arch]),
);
for (const file of sourceTree(join(native, "src"))) stamp.update(file).update(readFileSync(file));
const digest = stamp.digest("hex");
const stampFile = join(output, "dyn_native.sha256");
if (
	!process.argv.includes("--force") &&
	existsSync(binary) &&
	existsSync(stampFile) &&
	readFileSync(stampFile, "utf8") === digest
)
	process.exit(0);

const compiler = [process.env.CXX, "g++", "clang++"].find(
	(name) => name && spawnSync(name, ["--version"], { stdio: "ignore" }).status === 0,
);
if (!compiler) {
	console.error(
		"No C++ compiler found: install one (Debian and Ubuntu: apt-get install g++; Fedora: dnf install gcc-c++; macOS: xcode-select --install) or set CXX.",
	);
	process.exit(1);
}

mkdirSync(output, { recursive: true });
mkdirSync(objects, { recursive: true });
const began = Date.now();
const jobs = sources.map(({ file, flags = [] }) => {
	const object = join(objects, `${file.replaceAll("/", "-")}.o`);
	return { object, args: [...common, ...include, ...flags, "-c", join(native, file), "-o", object] };
});
const queue = [...jobs];
await Promise.all(
	Array.from({ length: Math.min(availableParallelism(), jobs.length) }, async () => {
		for (let job = queue.shift(); job; job = queue.shift()) await run(compiler, job.args);
	}),
);
// Linked beside and renamed into place: a process that has the old binary loaded keeps it.
const fresh = `${binary}.${process.pid}`;
const system =
	process.platform === "darwin"
		? ["-undefined", "dynamic_lookup"]
		: ["-static-libstdc++", "-static-libgcc", "-Wl,--no-undefined-version"];
await run(compiler, ["-shared", ...jobs.map(({ object }) => object), "-o", fresh, "-pthread", ...system]);
renameSync(fresh, binary);
writeFileSync(stampFile, digest);
console.log(`native engine built with ${compiler} in ${((Date.now() - began) / 1000).toFixed(1)} s`);

function run(command, args) {
	return new Promise((resolve) => {
		spawn(command, args, { stdio: "inherit" }).on("exit", (code) => {
			if (code === 0) resolve();
			else process.exit(1);
		});
	});
}

function sourceTree(folder) {
	return readdirSync(folder, { withFileTypes: true })
		.sort((a, b) => (a.name < b.name ? -1 : 1))
		.flatMap((entry) =>
			entry.isDirectory() ? sourceTree(join(folder, entry.name)) : [join(folder, entry.name)],
		);
}
