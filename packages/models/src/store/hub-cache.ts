// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isPlainPath } from "./plain-path.js";
import type { HubModel } from "./pull-hub.js";

/**
 * Where the Hugging Face cache (`<home>/hub/models--org--name/{refs,snapshots}`) holds a whole model, or null. Read only.
 */
export function findInHubCache(home: string, { repository, revision, file }: HubModel): string | null {
	const folder = join(home, "hub", `models--${repository.replace("/", "--")}`);
	const commit = readText(join(folder, "refs", revision))?.trim() ?? revision;
	if (!isPlainPath(commit)) return null;
	const snapshot = join(folder, "snapshots", commit);
	if (file) return existsSync(join(snapshot, file)) ? join(snapshot, file) : null;
	return existsSync(join(snapshot, "config.json")) && holdsWeights(snapshot) ? snapshot : null;
}

/** Whether all weights are there: an interrupted download leaves snapshots with some of their shards. */
function holdsWeights(snapshot: string): boolean {
	const index = readText(join(snapshot, "model.safetensors.index.json"));
	if (index === null) return existsSync(join(snapshot, "model.safetensors"));
	try {
		const { weight_map: weightMap } = JSON.parse(index) as { weight_map: Record<string, string> };
		return [...new Set(Object.values(weightMap))].every((shard) => existsSync(join(snapshot, shard)));
	} catch {
		return false; // no index that a checkpoint could be opened with
	}
}

function readText(path: string): string | null {
	try {
		return readFileSync(path, "utf8");
	} catch {
		return null; // absent or not ours to read: then the cache does not have it
	}
}
