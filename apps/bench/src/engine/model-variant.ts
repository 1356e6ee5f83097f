// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { modelFile } from "../model-file.js";
import { peerCache } from "../repository.js";
import { buildLlamaCpp } from "./llama-cpp.js";
import { RANDOM_QWEN3, writeRandomQwen3 } from "./random-qwen3.js";

const FORMATS = ["q8_0", "bf16"];
const folder = join(peerCache, "models");

/**
 * Path of `ID-or-path[:q8_0|bf16]`: a model of the store, a GGUF file, or the random checkpoint, and with a format the same
 * requantised by llama.cpp, so that both programs read what the other one's author takes for that format. Made once.
 */
export async function modelVariant(model: string): Promise<string> {
	const [, base = model, format] = /^(.*):([^:/]+)$/.exec(model) ?? [];
	if (format !== undefined && !FORMATS.includes(format))
		throw new Error(`--model ${model}: ${format} is not one of ${FORMATS.join(", ")}`);
	const original =
		base === RANDOM_QWEN3 ? await made(`${base}.gguf`, writeRandomQwen3) : await modelFile(base);
	if (format === undefined) return original;
	return made(`${nameWithoutFormat(original)}-${format}.gguf`, (path) => {
		execFileSync(buildLlamaCpp("requantize"), [original, path, format], { stdio: "inherit" });
	});
}

/** "x/Some-Model.Q4_1.gguf" -> "Some-Model" */
export function nameWithoutFormat(path: string): string {
	return basename(path, ".gguf").replace(/[.-](b?f\d+|i?q\d\w*)$/i, "");
}

/** The file of that name in the cache, made by `make` if it is not there: under another name until it is whole. */
async function made(name: string, make: (path: string) => Promise<void> | void): Promise<string> {
	const path = join(folder, name);
	if (existsSync(path)) return path;
	mkdirSync(folder, { recursive: true });
	await make(`${path}.part`);
	renameSync(`${path}.part`, path);
	return path;
}
