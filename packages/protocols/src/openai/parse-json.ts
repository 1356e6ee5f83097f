// SPDX-License-Identifier: Apache-2.0
import { DynError } from "@dyn/common";

/** Nesting that a request body may have. */
const DEEPEST = 64;

/**
 * A request body as JSON. Depth is checked before parsing, so hostile nesting costs one scan and no stack.
 * @throws DynError INVALID_ARGUMENT
 */
export function parseJsonBody(text: string): unknown {
	if (depthOf(text) > DEEPEST)
		throw new DynError("INVALID_ARGUMENT", `the JSON body is nested more than ${DEEPEST} levels deep`);
	try {
		return JSON.parse(text);
	} catch (error) {
		const where = /position (\d+)/.exec((error as Error).message)?.[1];
		throw new DynError(
			"INVALID_ARGUMENT",
			`the body is not valid JSON${where ? ` (at character ${where})` : ""}`,
			{ cause: error },
		);
	}
}

/** Deepest nesting of brackets outside strings; stops counting one past the limit. */
function depthOf(text: string): number {
	let depth = 0;
	let deepest = 0;
	for (let i = 0; i < text.length && deepest <= DEEPEST; i++) {
		const unit = text.charCodeAt(i);
		if (unit === 34) {
			for (i++; i < text.length && text.charCodeAt(i) !== 34; i++) if (text.charCodeAt(i) === 92) i++;
		} else if (unit === 91 || unit === 123) {
			depth++;
			if (depth > deepest) deepest = depth;
		} else if (unit === 93 || unit === 125) depth--;
	}
	return deepest;
}
