// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";
import type { GuidedDecoding } from "../guided-decoding.js";
import { stringifyJson } from "../json.js";
import type { PlainData } from "./plain-data.js";

/** As Dynamo's `guided_decoding`: one of its keys is set. */
export function encodeGuidedDecoding(guided: GuidedDecoding): Record<string, unknown> {
	switch (guided.kind) {
		case "json_schema":
			return { json: guided.schema };
		case "json_object":
			return { json_object: true };
		case "regex":
			return { regex: guided.pattern };
		case "grammar":
			return { grammar: guided.ebnf };
		case "structural_tag":
			return { structural_tag: guided.tag };
		case "choice":
			return { choice: guided.choices };
	}
}

/**
 * Schemas and tags come as text or as JSON values; both become text. `backend` may be absent only: engines have one each.
 * @throws DynError INVALID_ARGUMENT for more than one constraint, or one of a wrong type
 */
export function decodeGuidedDecoding(guided: PlainData): GuidedDecoding | null {
	const text = (name: string): string => {
		const value = guided.raw(name);
		return typeof value === "string" ? value : stringifyJson(value);
	};
	const found: GuidedDecoding[] = [];
	if (guided.has("json")) found.push({ kind: "json_schema", schema: text("json") });
	if (guided.boolean("json_object")) found.push({ kind: "json_object" });
	const pattern = guided.string("regex");
	if (pattern !== null) found.push({ kind: "regex", pattern });
	const ebnf = guided.string("grammar");
	if (ebnf !== null) found.push({ kind: "grammar", ebnf });
	if (guided.has("structural_tag")) found.push({ kind: "structural_tag", tag: text("structural_tag") });
	const choices = guided.strings("choice");
	if (choices !== null) found.push({ kind: "choice", choices });
	if (found.length > 1)
		throw new DynError(
			"INVALID_ARGUMENT",
			`${guided.where} has several constraints (${found.map(({ kind }) => kind).join(", ")}); give one`,
		);
	for (const name of ["backend", "whitespace_pattern"])
		if (guided.has(name))
			throw new DynError(
				"INVALID_ARGUMENT",
				`${guided.where}.${name} cannot be chosen by a request; leave it out`,
			);
	return found[0] ?? null;
}
