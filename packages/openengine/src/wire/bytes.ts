// SPDX-License-Identifier: Apache-2.0
import protobuf from "protobufjs/minimal.js";
import type { MessageInit } from "../message-init.js";
import type { Decoder, Encoder } from "./scalars.js";

const { Reader, Writer } = protobuf;

export function toBytes<T>(encode: Encoder<T>, message: MessageInit<T>): Buffer {
	return encode(message, Writer.create()).finish() as Buffer;
}

export function fromBytes<T>(decode: Decoder<T>, bytes: Uint8Array): T {
	return decode(Reader.create(bytes));
}
