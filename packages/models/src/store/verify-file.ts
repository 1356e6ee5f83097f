// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { DynError } from "@dyn/common";

/** @throws DynError CHECKSUM_MISMATCH when the file's SHA-256 is not `sha256` (lower-case hex). */
export async function verifySha256(path: string, name: string, sha256: string): Promise<void> {
	const hash = createHash("sha256");
	for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk);
	const found = hash.digest("hex");
	if (found !== sha256) {
		throw new DynError(
			"CHECKSUM_MISMATCH",
			`${name} has SHA-256 ${found}, not ${sha256}: it is damaged or was replaced; pull it again`,
		);
	}
}
