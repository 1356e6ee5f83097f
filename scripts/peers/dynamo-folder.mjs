// SPDX-License-Identifier: Apache-2.0
import { homedir } from "node:os";
import { join } from "node:path";

/** Where stock Dynamo is installed unless told otherwise. */
export const DYNAMO_FOLDER = join(homedir(), ".cache", "dyn", "peers", "dynamo-1.6.1");

/** The Python that has stock Dynamo's packages. */
export const pythonOf = (folder) => join(folder, "venv", "bin", "python");
