// SPDX-License-Identifier: Apache-2.0

/** No absolute path, no step upwards: a hub, or a name that somebody typed, cannot make us write elsewhere. */
export function isPlainPath(name: string): boolean {
	return (
		!name.includes("\\") &&
		!name.includes("\0") &&
		name.split("/").every((part) => part !== "" && part !== "." && part !== "..")
	);
}
