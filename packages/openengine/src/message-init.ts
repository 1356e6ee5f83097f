// SPDX-License-Identifier: Apache-2.0
import type { JsonObject } from "./json-object.js";

type FieldInit<T> = T extends string | number | bigint | boolean | undefined | Uint8Array | JsonObject
	? T
	: T extends readonly (infer Item)[]
		? readonly FieldInit<Item>[]
		: MessageInit<T>;

/** A message to be sent: what is absent at any depth goes out as absent. */
export type MessageInit<T> = { readonly [K in keyof T]?: FieldInit<T[K]> | undefined };
