// SPDX-License-Identifier: Apache-2.0
import { invalidArgument } from "@dyn/common";
import type { GuidedDecoding } from "../guided-decoding.js";
import { stringifyJson } from "../json.js";
import { isObject, type ObjectReader } from "./object-reader.js";

/**
 * What an answer must look like: OpenAI's `response_format`, or one of Dynamo's (and vLLM's) `guided_…` fields.
 * @throws DynError INVALID_ARGUMENT for a malformed one, or several at once.
 */
export function readGuidedDecoding(reader: ObjectReader): GuidedDecoding | null {
	const found: [string, GuidedDecoding][] = [];
	const take = (field: string, guided: GuidedDecoding | null) => guided && found.push([field, guided]);
	take("response_format", readResponseFormat(reader));
	const json = reader.raw("guided_json");
	if (json !== null)
		take("guided_json", {
			kind: "json_schema",
			schema: typeof json === "string" ? json : stringifyJson(json),
		});
	const pattern = reader.string("guided_regex");
	if (pattern !== null) take("guided_regex", { kind: "regex", pattern });
	const ebnf = reader.string("guided_grammar");
	if (ebnf !== null) take("guided_grammar", { kind: "grammar", ebnf });
	const choices = reader.array("guided_choice");
	if (choices !== null) {
		if (choices.length === 0 || !choices.every((choice) => typeof choice === "string"))
			throw invalidArgument("guided_choice", "guided_choice must be an array of one or more strings");
		take("guided_choice", { kind: "choice", choices: choices as string[] });
	}
	const [first, second] = found;
	if (first && second)
		throw invalidArgument(second[0], `${first[0]} and ${second[0]} cannot be given together; keep one`);
	return first?.[1] ?? null;
}

function readResponseFormat(reader: ObjectReader): GuidedDecoding | null {
	const format = reader.object("response_format");
	if (!format) return null;
	const type = format.string("type");
	switch (type) {
		case "text":
			return null;
		case "json_object":
			return { kind: "json_object" };
		case "json_schema": {
			const wrapper = format.object("json_schema");
			const schema = wrapper?.raw("schema") ?? null;
			if (!isObject(schema) && typeof schema !== "boolean")
				throw invalidArgument(
					"response_format.json_schema.schema",
					"response_format.json_schema.schema is missing: it must be a JSON Schema",
				);
			return { kind: "json_schema", schema: stringifyJson(schema) };
		}
		case "structural_tag":
			return { kind: "structural_tag", tag: stringifyJson(reader.raw("response_format")) };
		default:
			throw invalidArgument(
				"response_format.type",
				`response_format.type must be "text", "json_object", "json_schema" or "structural_tag", got ${JSON.stringify(type)}`,
			);
	}
}
