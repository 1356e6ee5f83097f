// SPDX-License-Identifier: Apache-2.0

/** The text of a token in `tokenizer_config.json`, which has it plain or as `{ "content": … }`. */
export function namedToken(value: unknown): string | undefined {
	const text =
		typeof value === "object" && value !== null ? (value as Record<string, unknown>)["content"] : value;
	return typeof text === "string" ? text : undefined;
}
