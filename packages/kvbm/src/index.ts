// SPDX-License-Identifier: Apache-2.0
export { type BlockContent, BlockPool, type BlockPoolStats } from "./block-pool.js";
