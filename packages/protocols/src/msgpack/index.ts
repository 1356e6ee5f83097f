// SPDX-License-Identifier: Apache-2.0
export { decodeMsgpack } from "./decode-msgpack.js";
export { borrowMsgpack, type EncodeMsgpackOptions, encodeMsgpack } from "./encode-msgpack.js";
