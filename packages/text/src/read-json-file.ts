// SPDX-License-Identifier: Apache-2.0
import { readFile } from "node:fs/promises";
import { DynError } from "@dyn/common";

/** @throws DynError MODEL_FORMAT naming the file when it cannot be read or is not JSON. */
export async function readJsonFile(file: string): Promise<unknown> {
	try {
		return JSON.parse(await readFile(file, "utf8"));
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${file} is not readable JSON: ${(error as Error).message}`, {
			cause: error,
		});
	}
}
