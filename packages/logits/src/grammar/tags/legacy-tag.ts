// SPDX-License-Identifier: Apache-2.0
import type { SchemaObject } from "../json/keywords.js";
import { formatsIn, textIn } from "./tag-fields.js";

/** `{structures: [{begin, schema, end}], triggers: […]}`, the older notation, in terms of the newer one. */
export function legacyFormat(document: SchemaObject): SchemaObject {
	const tags = formatsIn(document, "structures", "structural_tag").map((structure, index) => {
		const path = `structures[${index}]`;
		return {
			type: "tag",
			begin: textIn(structure, "begin", path),
			content: { type: "json_schema", json_schema: schemaOf(structure["schema"]) },
			end: textIn(structure, "end", path),
		};
	});
	return { type: "triggered_tags", triggers: document["triggers"], tags };
}

/** Schemas may be given as JSON text. */
function schemaOf(schema: unknown): unknown {
	if (typeof schema !== "string") return schema;
	try {
		return JSON.parse(schema);
	} catch {
		return schema; // refused as what it is, a string
	}
}
