// SPDX-License-Identifier: Apache-2.0

// A key is `v1/<bucket>/<rest>`: the bucket is a folder, the rest the name of a file in it, in which every byte but
// letters and digits is percent-encoded (as Dynamo does).

/** Prefix of files that are being written, in Dynamo's own processes. */
const TEMPORARY = ".tmp_";

/** `v1/instances/a/b` as ["v1/instances", "a%2Fb"]. @throws TypeError when the key has no bucket */
export function splitKey(key: string): readonly [bucket: string, fileName: string] {
	const end = key.indexOf("/", key.indexOf("/") + 1);
	if (end < 0) throw new TypeError(`the key ${key} has no bucket`);
	return [key.slice(0, end), encodeFileName(key.slice(end + 1))];
}

export function encodeFileName(rest: string): string {
	let name = "";
	for (const byte of Buffer.from(rest))
		name += /[A-Za-z0-9]/.test(String.fromCharCode(byte))
			? String.fromCharCode(byte)
			: `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
	return name;
}

/** The key's part after the bucket; null for files that are no entries. */
export function decodeFileName(name: string): string | null {
	if (name.startsWith(TEMPORARY) || !/^(?:[A-Za-z0-9]|%[0-9A-Fa-f]{2})+$/.test(name)) return null;
	try {
		return decodeURIComponent(name);
	} catch {
		return null; // not UTF-8
	}
}
