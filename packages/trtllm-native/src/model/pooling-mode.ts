// SPDX-License-Identifier: Apache-2.0
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { DynError } from "@dyn/common";
import type { Pooling } from "../engine/pooler.js";

/** Where sentence-transformers keeps how a model's hidden states are pooled. */
const FILE = join("1_Pooling", "config.json");
const MODES: readonly (readonly [key: string, pooling: Pooling])[] = [
	["pooling_mode_mean_tokens", "mean"],
	["pooling_mode_lasttoken", "last"],
];

/**
 * How a model wants its hidden states pooled: as `1_Pooling/config.json` in its folder says, else their mean, which is what
 * sentence-transformers does with a model that has no such file.
 * @throws DynError MODEL_FORMAT when the file asks for something else
 */
export async function poolingMode(modelPath: string): Promise<Pooling> {
	if (!(await stat(modelPath)).isDirectory()) return "mean";
	const path = join(modelPath, FILE);
	const text = await readFile(path, "utf8").catch(() => null);
	if (text === null) return "mean";
	let config: Record<string, unknown>;
	try {
		config = JSON.parse(text) as Record<string, unknown>;
	} catch (error) {
		throw new DynError("MODEL_FORMAT", `${path} is no JSON`, { cause: error });
	}
	const asked = Object.keys(config).filter((key) => key.startsWith("pooling_mode_") && config[key] === true);
	const known = MODES.find(([key]) => key === asked[0]);
	if (known && asked.length === 1) return known[1];
	throw new DynError(
		"MODEL_FORMAT",
		`${path} asks for ${asked.join(" and ") || "no pooling"}; this engine has ${MODES.map(([key]) => key).join(" and ")}, one at a time`,
	);
}
