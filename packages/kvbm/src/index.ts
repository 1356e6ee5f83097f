// SPDX-License-Identifier: Apache-2.0
export { BlockPool, type BlockPoolStats } from "./block-pool.js";
