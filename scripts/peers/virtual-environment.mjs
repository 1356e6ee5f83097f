// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** The Python of a virtual environment made here. */
export const pythonOf = (folder) => join(folder, "venv", "bin", "python");

/**
 * Installs a complete list of pinned packages into a virtual environment of its own, unless it is there; from prebuilt
 * files only, and nothing that the list does not name.
 */
export function ensureVirtualEnvironment(folder, requirements) {
	const installed = join(folder, basename(requirements));
	const isInstalled =
		existsSync(pythonOf(folder)) &&
		existsSync(installed) &&
		readFileSync(installed, "utf8") === readFileSync(requirements, "utf8");
	if (!isInstalled) install(folder, requirements);
}

/** Installs beside the folder, which gets its name when it is whole. */
function install(folder, requirements) {
	mkdirSync(dirname(folder), { recursive: true });
	const unfinished = mkdtempSync(`${folder}.unfinished-`);
	try {
		run("python3", "-m", "venv", join(unfinished, "venv"));
		const pip = [
			pythonOf(unfinished),
			"-m",
			"pip",
			"--disable-pip-version-check",
			"--no-input",
			"install",
			"-q",
		];
		run(...pip, "--no-deps", "--only-binary", ":all:", "-r", requirements);
		copyFileSync(requirements, join(unfinished, basename(requirements)));
		rmSync(folder, { recursive: true, force: true });
		renameSync(unfinished, folder);
	} finally {
		rmSync(unfinished, { recursive: true, force: true });
	}
}

function run(command, ...args) {
	// Standard output belongs to the path that is printed in the end.
	const { status, error } = spawnSync(command, args, { stdio: ["ignore", process.stderr, process.stderr] });
	if (status !== 0)
		throw new Error(`${command} ${args.join(" ")} failed (${error?.message ?? status})`, { cause: error });
}
