// SPDX-License-Identifier: Apache-2.0
// Servers that Debian packages.
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/**
 * Installs a Debian package unless its command is there already.
 * @returns {string} the path of the command
 */
export function installFromDebian(command, debianPackage) {
	const present = findCommand(command);
	if (present) return present;
	aptGet("update", "-qq");
	aptGet("install", "-y", "-qq", "--no-install-recommends", debianPackage);
	const path = findCommand(command);
	if (!path) throw new Error(`the package ${debianPackage} was installed but has no command ${command}`);
	return path;
}

/** Servers lie in /usr/sbin, which is not in every user's PATH. */
function findCommand(command) {
	const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"];
	return folders.map((folder) => join(folder, command)).find(isExecutable);
}

function isExecutable(path) {
	try {
		accessSync(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}

function aptGet(...args) {
	const command = ["apt-get", "-o", "DPkg::Lock::Timeout=60", ...args];
	const [name, ...rest] = process.getuid?.() === 0 ? command : ["sudo", "-n", ...command];
	// Standard output belongs to the path that the script prints.
	const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
	const { status, error } = spawnSync(name, rest, { env, stdio: ["ignore", process.stderr, process.stderr] });
	if (status !== 0)
		throw new Error(`${command.join(" ")} failed (${error?.message ?? status}); run it as root`, {
			cause: error,
		});
}
