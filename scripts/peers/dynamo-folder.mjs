// SPDX-License-Identifier: Apache-2.0
import { homedir } from "node:os";
import { join } from "node:path";

/** Where stock Dynamo is installed unless told otherwise. */
export const DYNAMO_FOLDER = join(homedir(), ".cache", "dyn", "peers", "dynamo-1.6.1");

export { pythonOf } from "./virtual-environment.mjs";
