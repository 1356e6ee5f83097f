// SPDX-License-Identifier: Apache-2.0
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import type { CheckedFile, ModelFiles } from "@dyn/protocols";
import { blake3 } from "hash-wasm";

/** Largest file that is taken from a worker; tokenizers are a few MiB. */
const MAX_BYTES = 256 * 2 ** 20;
/** Time for one file, ms. */
const TIMEOUT_MS = 60_000;

/**
 * Brings the files of a model card to this machine and checks them: paths are read if they exist here, URLs fetched.
 * @param cacheDirectory kept between runs; what is there already is not fetched again
 * @returns a folder with tokenizer.json, config.json and so on
 * @throws DynError MODEL_UNAVAILABLE, CHECKSUM_MISMATCH
 */
export async function fetchModelFiles(files: ModelFiles, cacheDirectory: string): Promise<string> {
	const named: readonly (readonly [string, CheckedFile | null])[] = [
		["config.json", files.config],
		["tokenizer.json", files.tokenizer],
		["tokenizer_config.json", files.tokenizerConfig],
		["generation_config.json", files.generationConfig],
		["chat_template.jinja", files.chatTemplate],
	];
	const present = named.filter((each): each is readonly [string, CheckedFile] => each[1] !== null);
	const identity = createHash("sha256");
	for (const [name, { checksum }] of present) identity.update(`${name} ${checksum}\n`);
	const folder = join(cacheDirectory, identity.digest("hex").slice(0, 32));
	await mkdir(folder, { recursive: true });
	await Promise.all(present.map(([name, file]) => place(join(folder, name), file)));
	return folder;
}

async function place(path: string, file: CheckedFile): Promise<void> {
	const known = await readFile(path).catch(() => null);
	if (known && (await isIntact(known, file))) return;
	const bytes = await read(file);
	if (!(await isIntact(bytes, file)))
		throw new DynError(
			"CHECKSUM_MISMATCH",
			`${file.path} is not what the model card says (${file.checksum})`,
		);
	const partial = `${path}.${process.pid}.part`;
	await writeFile(partial, bytes);
	await rename(partial, path);
}

async function isIntact(bytes: Buffer, { checksum }: CheckedFile): Promise<boolean> {
	return checksum === `blake3:${await blake3(bytes)}`;
}

async function read({ path, sizeBytes }: CheckedFile): Promise<Buffer> {
	try {
		return /^https?:/.test(path)
			? await download(path, Math.min(sizeBytes ?? MAX_BYTES, MAX_BYTES))
			: await readFile(path);
	} catch (cause) {
		throw new DynError(
			"MODEL_UNAVAILABLE",
			`${path}, a file of the model card, cannot be read here: ${(cause as Error).message}; let the worker serve it (--system-port)`,
			{ cause },
		);
	}
}

async function download(url: string, limit: number): Promise<Buffer> {
	const response = await fetch(url, { redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
	if (!response.ok || !response.body) throw new Error(`HTTP ${response.status}`);
	const parts: Uint8Array[] = [];
	let size = 0;
	for await (const part of response.body) {
		size += part.length;
		if (size > limit) throw new Error(`it is larger than ${limit} bytes`);
		parts.push(part);
	}
	return Buffer.concat(parts);
}
