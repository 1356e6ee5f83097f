// SPDX-License-Identifier: Apache-2.0
export {
	type BlockHasher,
	type BlockScope,
	blockSeed,
	createBlockHasher,
	HASH_SEED,
} from "./block-hasher.js";
export { type TokenBlock, TokenBlockSequence } from "./token-block-sequence.js";
export { type TrtllmBlockScope, trtllmBlockKey, trtllmSaltId } from "./trtllm-block-key.js";
