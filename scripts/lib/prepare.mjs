// SPDX-License-Identifier: Apache-2.0
// What both commands of the README do first: check the machine, install, build. Each step is skipped when nothing changed.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));
const pnpm = "pnpm@10.34.9";

/** Ends the process with a message and no stack. */
function give(message) {
	console.error(message);
	process.exit(1);
}

export function checkMachine() {
	const [major, minor] = process.versions.node.split(".").map(Number);
	if (major < 20 || (major === 20 && minor < 19))
		give(`Node.js ${process.version} is too old: install 20.19 or later.`);
	const missing = (name, args) => spawnSync(name, args, { stdio: "ignore" }).status !== 0;
	if (missing("python3", ["--version"]))
		give("python3 is missing (it fetches the default model): apt-get install python3 python3-pip");
	if (!process.env.CXX && missing("g++", ["--version"]) && missing("clang++", ["--version"]))
		give("A C++ compiler is missing (it builds the native engine): apt-get install g++");
}

/** Runs a step quietly; its output is shown when it fails. */
function step(name, command, args) {
	const began = Date.now();
	process.stderr.write(`${name} ... `);
	const result = spawnSync(command, args, { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 });
	if (result.status !== 0) give(`failed\n${result.stdout ?? ""}${result.stderr ?? ""}${result.error ?? ""}`);
	process.stderr.write(`${((Date.now() - began) / 1000).toFixed(1)} s\n`);
}

export function install() {
	remember(
		"install",
		hashFiles(["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json"]),
		existsSync(join(root, "node_modules/.modules.yaml")),
		() =>
			step("installing packages", "npx", [
				"-y",
				pnpm,
				"install",
				"--frozen-lockfile",
				"--config.confirm-modules-purge=false",
			]),
	);
}

/** @param types also check types and write declarations, as publishing and some tests need */
export function build({ types = false } = {}) {
	const built =
		existsSync(join(root, "apps/worker/dist/main.js")) &&
		existsSync(join(root, "packages/trtllm-native/build/Release/dyn_native.node"));
	const sources = hashTree(["packages", "apps", "native"]);
	remember("build", sources, built, () => step("building", "npx", ["turbo", "run", "build"]));
	if (types)
		remember("types", sources, existsSync(join(root, "packages/common/dist/index.d.ts")), () =>
			step("checking types", "npx", ["tsc", "-b"]),
		);
}

/** Runs `work` unless it ran before with the same `digest` and its result is still there. */
function remember(name, digest, present, work) {
	const stamp = join(root, "node_modules/.cache/dyn", name);
	if (present && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return;
	work();
	mkdirSync(dirname(stamp), { recursive: true });
	writeFileSync(stamp, digest);
}

function hashFiles(files) {
	const hash = createHash("sha256");
	for (const file of files) hash.update(file).update(readFileSync(join(root, file)));
	return hash.digest("hex");
}

/** Names, sizes and times of every source below: enough to notice a change, and quick. */
function hashTree(folders) {
	const skip = new Set(["node_modules", "dist", "build", ".turbo", ".cache", "etc"]);
	const hash = createHash("sha256");
	const visit = (folder) => {
		for (const entry of readdirSync(folder, { withFileTypes: true })) {
			const path = join(folder, entry.name);
			if (entry.isDirectory()) {
				if (!skip.has(entry.name) && path !== join(root, "packages/trtllm-native/native")) visit(path);
			} else if (!entry.name.endsWith(".md") && !entry.name.includes(".test.")) {
				const { size, mtimeMs } = statSync(path);
				hash.update(`${path} ${size} ${mtimeMs}\n`);
			}
		}
	};
	for (const folder of folders) visit(join(root, folder));
	return hash.digest("hex");
}
