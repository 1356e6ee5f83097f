// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { HubModel } from "./pull-hub.js";

/**
 * Where the Hugging Face cache (`<home>/hub/models--org--name/{refs,snapshots}`) holds a model, or null. Read only.
 */
export function findInHubCache(home: string, { repository, revision, file }: HubModel): string | null {
	const folder = join(home, "hub", `models--${repository.replace("/", "--")}`);
	const reference = join(folder, "refs", revision);
	const commits = existsSync(reference) ? [readFileSync(reference, "utf8").trim()] : [revision];
	for (const commit of commits) {
		if (!/^[\w.-]+$/.test(commit)) continue;
		const snapshot = join(folder, "snapshots", commit);
		if (!existsSync(snapshot)) continue;
		if (file) return existsSync(join(snapshot, file)) ? join(snapshot, file) : null;
		const names = readdirSync(snapshot);
		if (names.includes("config.json") && names.some((name) => name.endsWith(".safetensors"))) return snapshot;
	}
	return null;
}
