// SPDX-License-Identifier: Apache-2.0
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import type { Checkpoint, TensorInfo } from "./checkpoint.js";
import { readGguf } from "./gguf.js";
import { quoteName } from "./quote-name.js";
import { readJsonObject } from "./read-json-object.js";
import { readSafetensors, readShardedSafetensors } from "./safetensors.js";

/**
 * Reads the headers of a checkpoint. `path` is a GGUF file, a folder with exactly one of those, or a Hugging Face
 * folder (config.json and model.safetensors or its shards).
 * @throws DynError NOT_FOUND when there is nothing at `path`, MODEL_FORMAT when what is there cannot be read.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
	const info = await stat(path).catch(() => null);
	if (!info) throw new DynError("NOT_FOUND", `there is no model at ${path}; pass a folder or a .gguf file`);
	if (!info.isDirectory()) return readGguf(path);

	const single = join(path, "model.safetensors");
	const index = join(path, "model.safetensors.index.json");
	const tensors = existsSync(index)
		? await readShardedSafetensors(index)
		: existsSync(single)
			? readSafetensors(single)
			: null;
	if (tensors)
		return {
			format: "safetensors",
			path,
			tensors: byName(tensors, path),
			config: await readJsonObject(join(path, "config.json")),
			metadata: new Map(),
		};

	const names = await readdir(path).catch((error) => {
		throw new DynError("MODEL_FORMAT", `cannot read the folder ${path}: ${(error as Error).message}`, {
			cause: error,
		});
	});
	const gguf = names.filter((name) => name.endsWith(".gguf"));
	if (gguf.length === 1) return readGguf(join(path, gguf[0]!));
	const found =
		gguf.length === 0
			? "no model.safetensors and no .gguf file"
			: `${gguf.length} .gguf files: name one of them`;
	throw new DynError("MODEL_FORMAT", `the folder ${path} has ${found}`);
}

function byName(tensors: readonly TensorInfo[], path: string): Map<string, TensorInfo> {
	const map = new Map<string, TensorInfo>();
	for (const tensor of tensors) {
		if (map.has(tensor.name))
			throw new DynError("MODEL_FORMAT", `${path}: tensor ${quoteName(tensor.name)} is in two shards`);
		map.set(tensor.name, tensor);
	}
	return map;
}
