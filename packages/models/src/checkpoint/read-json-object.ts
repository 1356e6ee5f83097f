// SPDX-License-Identifier: Apache-2.0
import { readFile, stat } from "node:fs/promises";
import { DynError } from "@dyn/common";

/** As for a safetensors header: nothing that describes a model is larger. */
const LARGEST_BYTES = 100_000_000;

/** A JSON file that holds an object. @throws DynError MODEL_FORMAT naming the file */
export async function readJsonObject(path: string): Promise<Record<string, unknown>> {
	const malformed = (reason: string, cause?: unknown) =>
		new DynError("MODEL_FORMAT", `${path} ${reason}`, { cause, details: { file: path } });
	const info = await stat(path).catch((error) => {
		throw malformed("cannot be read; fetch the model again", error);
	});
	if (!info.isFile() || info.size > LARGEST_BYTES)
		throw malformed("is no file of at most 100 MB; fetch the model again");
	let value: unknown;
	try {
		value = JSON.parse(await readFile(path, "utf8"));
	} catch (error) {
		throw malformed("is not JSON; fetch the model again", error);
	}
	if (typeof value !== "object" || value === null || Array.isArray(value))
		throw malformed("does not hold a JSON object");
	return value as Record<string, unknown>;
}
