// SPDX-License-Identifier: Apache-2.0
import { DynError, ERROR_CODES } from "@dyn/common";
import { decodeDynamoError, encodeDynamoError, PlainData } from "@dyn/protocols/dynamo";

// What the frames of an answer hold: {"data": Annotated, "complete_final": bool}, where Annotated is {"data": item} or
// {"event": "error", "error": …}; a few endpoints of Dynamo have the bare item in its place. An answer without a last
// {"complete_final": true} broke off.

export const COMPLETE_FINAL: unknown = { complete_final: true };

/** @param bare without the annotation around it; see `PayloadCodec.bareItems` */
export function wrapItem(item: unknown, bare: boolean): unknown {
	return { data: bare ? item : { data: item }, complete_final: false };
}

/** The comment with message and code is what releases of Dynamo up to 1.3 read; later ones read the error. */
export function wrapError(thrown: unknown): unknown {
	const error = encodeDynamoError(thrown);
	const { code, rawMessage } = DynError.from(thrown);
	const comment = JSON.stringify({ message: rawMessage, code: ERROR_CODES[code].httpStatus });
	return { data: { event: "error", comment: [comment], error }, complete_final: false };
}

export type StreamItem =
	| { readonly kind: "item"; readonly item: unknown }
	| { readonly kind: "end" }
	/** An annotation that only concerns other peers. */
	| { readonly kind: "skip" };

/** @throws DynError what the worker reported; INVALID_ARGUMENT for what is no item */
export function unwrapItem(value: unknown): StreamItem {
	const wrapper = new PlainData(value, "item");
	if (wrapper.has("data")) {
		const annotated = wrapper.object("data");
		if (annotated.has("error")) throw decodeDynamoError(annotated.raw("error"));
		if (annotated.string("event") === "error")
			throw new DynError("INTERNAL", annotated.strings("comment")?.join("; ") ?? "the worker failed");
		if (annotated.has("data")) return { kind: "item", item: annotated.raw("data") };
	}
	return wrapper.boolean("complete_final") ? { kind: "end" } : { kind: "skip" };
}
