// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface ConfigFile {
	readonly path: string;
	remove(): Promise<void>;
}

/** Writes the engine's YAML into a fresh folder that only this user may read: it can hold tokens and addresses. */
export async function writeConfigFile(yaml: string): Promise<ConfigFile> {
	const folder = await mkdtemp(join(tmpdir(), "dyn-trtllm-")); // mkdtemp makes it with mode 0700.
	const path = join(folder, "engine.yaml");
	await writeFile(path, yaml, { mode: 0o600 });
	return { path, remove: () => rm(folder, { recursive: true, force: true }) };
}
