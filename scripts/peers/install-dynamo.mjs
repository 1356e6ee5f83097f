// SPDX-License-Identifier: Apache-2.0
// Installs stock Dynamo's frontend and mocker from PyPI into a virtual environment of their own, unless they are there;
// prints the folder.   node scripts/peers/install-dynamo.mjs [folder]      (about a minute, 690 MB)
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { DYNAMO_FOLDER, pythonOf } from "./dynamo-folder.mjs";

const requirements = fileURLToPath(new URL("dynamo.requirements.txt", import.meta.url));
const folder = resolve(process.argv[2] ?? DYNAMO_FOLDER);
if (!isInstalled()) install();
console.log(folder);

function isInstalled() {
	const installed = join(folder, basename(requirements));
	return (
		existsSync(pythonOf(folder)) &&
		existsSync(installed) &&
		readFileSync(installed, "utf8") === readFileSync(requirements, "utf8")
	);
}

/** Installs beside the folder, which gets its name when it is whole. */
function install() {
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
		// The list is complete. Following dependencies would add aisimulate, of which PyPI has only a stub that cannot be
		// built; nothing but the --ais-* flags needs it.
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
