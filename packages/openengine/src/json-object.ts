// SPDX-License-Identifier: Apache-2.0
import type { JsonValue } from "@dyn/protocols";

/** What a google.protobuf.Struct holds. Its numbers are doubles: integers beyond 2^53 go as decimal strings. */
export type JsonObject = Readonly<Record<string, JsonValue>>;
