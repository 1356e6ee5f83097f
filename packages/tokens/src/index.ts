// SPDX-License-Identifier: Apache-2.0
export { type BlockHasher, type BlockScope, createBlockHasher, HASH_SEED } from "./block-hasher.js";
